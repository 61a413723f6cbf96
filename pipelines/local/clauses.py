"""Cutting an answer into pieces a voice can begin with, and writing out what a voice misreads."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_SENTENCE_END = re.compile(r"[.!?…。！？]+[\"'”’)\]]*(?=\s)|[。！？]|\n")
_CLAUSE_END = re.compile(r"[,;:—][\"'”’)\]]*(?=\s)")
_ABBREVIATIONS = frozenset(
    "mr mrs ms dr prof st sr jr vs etc no approx dept inc ltd co e.g i.e a.m p.m u.s".split()
)

MIN_OPENING = 24
"""A first piece shorter than this would end before the second one is ready to follow."""
LONG_SENTENCE = 80
"""A sentence up to this long is spoken in one breath; a voice needs 20 ms for it."""


class ClauseCutter:
    """Takes text as a language model writes it and gives pieces to speak, as early as they sound right.

        tokens  ─Certainly, we are open on Saturday│ from eight until noon.│ Shall I …─
        pieces  └──────────── the opening ─────────┘└───────sentence──────┘

    Sentences are whole; only the very first may be cut at a clause, and only when it is a long one.
    Pieces keep their white space: joined they are the text.
    """

    def __init__(self) -> None:
        self._text = ""
        self._is_opening = True

    def push(self, text: str) -> list[str]:
        """The pieces that are complete now."""
        self._text += text
        return list(self._complete())

    def flush(self) -> list[str]:
        """What is left, however it ends."""
        left, self._text = self._text, ""
        return [left] if left.strip() else []

    def _complete(self) -> Iterator[str]:
        while (end := self._end()) is not None:
            # White space belongs to the piece before it, so that joining gives the text back.
            end += len(self._text[end:]) - len(self._text[end:].lstrip())
            piece, self._text = self._text[:end], self._text[end:]
            if piece.strip():
                self._is_opening = False
            yield piece

    def _end(self) -> int | None:
        sentence = next((m.end() for m in _SENTENCE_END.finditer(self._text) if self._is_sentence(m)), None)
        if self._is_opening and (sentence or len(self._text)) > LONG_SENTENCE:
            for clause in _CLAUSE_END.finditer(self._text, 0, sentence or len(self._text)):
                if clause.end() >= MIN_OPENING:
                    return clause.end()
        return sentence

    def _is_sentence(self, mark: "re.Match[str]") -> bool:
        if not mark.group().startswith("."):
            return True
        word = re.split(r"\s", self._text[: mark.start()])[-1].lower().lstrip("(\"'“‘")
        following = self._text[mark.end() :].lstrip()[:1]
        is_initial = len(word) == 1 and word.isalpha() and word != "i"
        return not (word in _ABBREVIATIONS or is_initial or following.islower())


# ── writing out ──────────────────────────────────────────────────────────────────────────────────
_EMAIL = re.compile(r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+\b")
_URL = re.compile(r"\b(?:https?://|www\.)[^\s<>\"']+[^\s<>\"'.,;:!?)]", re.IGNORECASE)
_DOMAIN = re.compile(
    r"\b(?:[a-z0-9-]+\.)+(?:com|org|net|io|dev|app|info|biz|edu|gov|eu|uk|de|fr|it|nl|tr|us|ca|au)\b(?:/[\w/-]*)?",
    re.IGNORECASE,
)
_MARKUP = re.compile(r"[*_`#~|<>\[\]{}]+")
_LINK = re.compile(r"\[([^\]]+)\]\([^)\s]+\)")
_PICTURES = re.compile("[\U0001f000-\U0001faff\u2600-\u27bf\ufe0f\u200d]+")
_BULLET = re.compile(r"^\s*[-•*]\s+", re.MULTILINE)
_SIGNS = {"@": " at ", ".": " dot ", "/": " slash ", "-": " dash ", "_": " underscore ", "+": " plus "}


def speakable(text: str) -> str:
    """English text as it should be read: addresses in words, no markup, no pictures."""
    text = _LINK.sub(r"\1", text)
    text = _BULLET.sub("", text)
    for address in (_EMAIL, _URL, _DOMAIN):
        text = address.sub(lambda found: _in_words(found.group()), text)
    text = _PICTURES.sub(" ", _MARKUP.sub(" ", text)).replace("&", " and ")
    return re.sub(r"[ \t]+", " ", text).strip()


def _in_words(address: str) -> str:
    address = re.sub(r"^(?:https?://)?(?:www\.)?", "", address, flags=re.IGNORECASE).rstrip("/")
    words = "".join(_SIGNS.get(letter, letter) for letter in address)
    return re.sub(r"\s+", " ", words).strip()


# ── when each word is heard ──────────────────────────────────────────────────────────────────────
@dataclass(frozen=True)
class TimedWord:
    """A word with the white space after it, and when it sounds, in seconds."""

    text: str
    starts_at: float
    ends_at: float


def timed_words(piece: str, starts_at: float, seconds: float) -> Sequence[TimedWord]:
    """When each word of a piece is heard, its sound spread over the letters; joined they are the piece.

    The start and end of each piece are exact, so an error never grows past one sentence.
    """
    words = re.findall(r"\s*\S+\s*", piece)
    total = sum(len(word.strip()) + 1 for word in words)
    timed, done = [], 0
    for word in words:
        begins = starts_at + seconds * done / total
        done += len(word.strip()) + 1
        timed.append(TimedWord(word, begins, starts_at + seconds * done / total))
    return timed
