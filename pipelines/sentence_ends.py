"""Does what somebody said so far look finished? Pure: words in, a verdict out.

"what are your opening hours"               complete
"I would like to book"                      open: it announces what comes
"my number is five five five"               open: seven digits are missing
"Tuesday"                                   unclear: a whole answer, or the beginning of one
"I need an appointment"                     unclear: for whom, and when, may be about to come
"""

import re
import unicodedata
from collections.abc import Callable
from typing import Literal

from pipelines.providers import language_code
from pipelines.turn_words import TURN_WORDS, TurnWords

Ending = Literal["complete", "unclear", "open"]

_SENTENCE_WORDS = 3
"""So many words can be a sentence; fewer are one only where they are known to be."""
_SPELT_LETTERS = 2
_DICTATED_DIGITS = 3
"""So many single digits in a row are somebody dictating, whatever for."""
_LAST = 400
"""Characters of the end that are looked at."""

_TOKEN = re.compile(r"[^\s,;:!?¿¡\"()]+")
_TRAILS_OFF = re.compile(r"(?:\.{2,}|…|[-–—,;:])\s*$")
_CUT_SENTENCE = re.compile(r"[.!?…]+\s+")
_DOMAIN = re.compile(
    r"(?:\.|\bdot |\bpunto |\bpunkt |\bpoint |\bnokta )(?:com|net|org|edu|info|io|tr|es|de|fr|uk)$"
)
_FOLDED = str.maketrans({"ı": "i", "ß": "ss", "’": "'", "æ": "ae", "œ": "oe"})


def plain(text: str) -> str:
    """Lower case, without accents: as words stand in `turn_words`."""
    folded = unicodedata.normalize("NFKD", text.translate(_FOLDED).lower().translate(_FOLDED))
    return "".join(letter for letter in folded if not unicodedata.combining(letter))


def ending(text: str, language: str, asked: str = "") -> Ending:
    """How `text`, a turn so far, ends. `asked` is what the agent had said before it.

    A language without words of its own is always `unclear`: there, only the length of a pause counts.
    """
    if (words := TURN_WORDS.get(language_code(language))) is None:
        return "unclear"
    said = plain(text[-_LAST:]).strip()
    tokens = [token.strip(".'") or token for token in _TOKEN.findall(said)]
    if not tokens or _trails_off(said, tokens, words):
        return "open"
    question = plain(asked[-_LAST:])
    if _is_dictating(said, tokens, question, words):
        return "open"
    sentence = [token.strip(".") for token in _TOKEN.findall(_CUT_SENTENCE.split(said)[-1])]
    if " ".join(sentence) in words.short or said.endswith("?"):
        return "complete"
    # "Ten" may be "ten thirty", and a telephone number may have an extension.
    if _digits_of(tokens[-1], words) or len(sentence) < _SENTENCE_WORDS or _is_bare_wish(sentence, words):
        return "unclear"
    return "complete" if not words.finishes or tokens[-1].endswith(words.finishes) else "unclear"


def is_murmur(text: str, language: str) -> bool:
    """True for what is no word and only says that somebody listens ("uh-huh")."""
    words = TURN_WORDS.get(language_code(language))
    tokens = _TOKEN.findall(plain(text).replace(".", " "))
    return words is not None and bool(tokens) and all(token in words.murmurs for token in tokens)


def is_assent(text: str, language: str) -> bool:
    """True for what only agrees or listens ("yeah, okay"), which may be an answer as well."""
    words = TURN_WORDS.get(language_code(language))
    tokens = _TOKEN.findall(plain(text).replace(".", " "))
    known = words.assents | words.murmurs if words is not None else frozenset()
    return bool(tokens) and len(tokens) <= _SENTENCE_WORDS and all(token in known for token in tokens)


def _trails_off(said: str, tokens: list[str], words: TurnWords) -> bool:
    if _TRAILS_OFF.search(said) or tokens[-1] in words.fillers:
        return not _is_short(tokens, words)
    if said.endswith("?"):
        return False  # "Where is it?" ends with a word that otherwise wants more
    return not _is_short(tokens, words) and (
        tokens[-1] in words.wants_more or _ends_with(tokens, words.starts)
    )


def _is_bare_wish(sentence: list[str], words: TurnWords) -> bool:
    """True for "I need an appointment": all of it, or "on Monday" or "for my daughter" is about to come."""
    for start in range(len(sentence) - 1, -1, -1):
        for length in (1, 2, 3):
            if " ".join(sentence[start : start + length]) in words.wishes:
                return not words.settles.intersection(sentence[start + length :])
    return False


def _is_short(tokens: list[str], words: TurnWords) -> bool:
    return " ".join(tokens) in words.short


def _ends_with(tokens: list[str], phrases: frozenset[str]) -> bool:
    return any(" ".join(tokens[-length:]) in phrases for length in range(1, min(6, len(tokens)) + 1))


def _is_dictating(said: str, tokens: list[str], question: str, words: TurnWords) -> bool:
    """A number, a spelt name, an e-mail or a postal address that has begun and is not whole."""
    about = f"{question} {said}"
    digits = _run_of_digits(tokens, words)
    if (
        digits
        and (digits < words.phone_digits)
        and (_mentions(about, words.phone) or _single_digits(tokens, words) >= _DICTATED_DIGITS)
    ):
        return True
    letters = sum(1 for _ in _last_while(tokens, lambda token: len(token) == 1 and token.isalpha()))
    if letters >= _SPELT_LETTERS or (letters and _mentions(about, words.spelling)):
        return True
    if _mentions(about, words.email) and ("@" in said or _mentions(said, words.email) or len(tokens) < 4):
        return (
            not _DOMAIN.search(said.rstrip(".")) and not said.endswith("?") and not _is_short(tokens, words)
        )
    if _mentions(about, words.address) and not said.endswith("?"):
        return not _is_short(tokens, words) and not _has_postcode(tokens)
    return False


def _mentions(text: str, phrases: frozenset[str]) -> bool:
    return any(re.search(rf"(?<!\w){re.escape(phrase)}(?!\w)", text) for phrase in phrases)


def _digits_of(token: str, words: TurnWords) -> int:
    """How many digits a token stands for; 0 for a word."""
    written = re.sub(r"[-./+]", "", token)
    if written.isdigit():
        return len(written)
    return 1 if token in words.digits else 0


def _last_while(tokens: list[str], holds: Callable[[str], bool]) -> list[str]:
    found: list[str] = []
    for token in reversed(tokens):
        if not holds(token):
            break
        found.append(token)
    return found


def _run_of_digits(tokens: list[str], words: TurnWords) -> int:
    return sum(
        _digits_of(token, words) for token in _last_while(tokens, lambda each: _digits_of(each, words) > 0)
    )


def _single_digits(tokens: list[str], words: TurnWords) -> int:
    return len(_last_while(tokens, lambda token: _digits_of(token, words) > 0))


def _has_postcode(tokens: list[str]) -> bool:
    return any(token.isdigit() and 4 <= len(token) <= 6 for token in tokens[1:])
