"""Options of an automated menu, as they are heard, and which of them leads to a goal."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from kb.words import EMPTY, fold, stem, words
from pipelines.local.scripted.lexicon import concepts, is_weak
from pipelines.local.scripted.numbers import in_digits

_KEY = r"(?P<key>\d+|star|asterisk|pound|hash|yildiz|kare|\*|#)"
_VERB = r"\b(?:press|dial|select|choose|enter|push|hit|touch)(?:ing)? (?:the )?(?:number |key |digit )?"
_PRESS = re.compile(
    rf"{_VERB}{_KEY}(?!\w)|(?<![\w*#]){_KEY.replace('key', 'turkish')} ?'? ?[a-z]{{0,3}} ?"
    r"(?:tusuna |numarasina )?(?:bas|tusla)\w*"
)
_MISHEARD = {
    **dict.fromkeys(("u", "you", "to", "too", "tu"), "2"),
    **dict.fromkeys(("for", "fore"), "4"),
    **dict.fromkeys(("free", "tree"), "3"),
    **{"won": "1", "fife": "5", "sex": "6", "ate": "8", "niner": "9", "o": "0"},
}
"""What a recogniser makes of a key; only at the end of a clause, since "press for more" names none."""
_SOUNDS_LIKE = re.compile(rf"({_VERB})({'|'.join(_MISHEARD)})(?=\s*(?:[.,;!?]|$))")
_LABELLED_AFTER = re.compile(r"^[\s,]*(?:for|to|if)\b")
_SIGNS = {"star": "*", "asterisk": "*", "yildiz": "*", "pound": "#", "hash": "#", "kare": "#"}
_TO_A_PERSON = re.compile(
    r"\b(?:operator|representative|agent|receptionist|reception|front desk|person|somebody|someone|anything|"
    r"other|else|staff|team|yetkili|temsilci\w*|diger|resepsiyon\w*|danisma\w*|insan|gorevli\w*)\b"
)
_OWN_NAMES = {"en": re.compile(r"\b(?:english|ingilizce)\b"), "tr": re.compile(r"\b(?:turkish|turkce)\b")}
_EMPTY_HERE = frozenset("press option options following menu call line please main".split())


@dataclass(frozen=True, slots=True)
class Option:
    """A key, and what it is for, folded."""

    key: str
    label: str


def options_in(text: str, language: str) -> list[Option]:
    """What may be pressed, in the order in which it is said."""
    told = _SOUNDS_LIKE.sub(lambda said: said[1] + _MISHEARD[said[2]], " ".join(fold(text).split()))
    told = in_digits(told, language)
    found = list(_PRESS.finditer(told))
    if not found:
        return []
    keys = [match["key"] or match["turkish"] for match in found]
    ends = [0, *(match.end() for match in found)]
    starts = [*(match.start() for match in found), len(told)]
    between = [told[end:start] for end, start in zip(ends, starts, strict=True)]
    # "For sales, press 1" has its label before the key, "Press 1 for sales" behind it.
    is_behind = bool(_LABELLED_AFTER.match(between[-1]))
    labels = (
        between[1:] if is_behind else [re.split(r"[.!?;]", part.strip(" .!?;"))[-1] for part in between[:-1]]
    )
    return [
        Option(_SIGNS.get(key, key), " ".join(words(label))) for key, label in zip(keys, labels, strict=True)
    ]


def leading_to(goal: str, options: Sequence[Option], language: str) -> Option | None:
    """The option that a goal names, by the same words or by others for the same."""
    if (own := _OWN_NAMES.get(language)) is not None:
        for option in options:
            if own.search(option.label):
                return option
    wanted = _terms(goal)
    meant = {concept for term in wanted for concept in concepts(term)}
    best: tuple[float, Option] | None = None
    for option in options:
        terms = _terms(option.label)
        shared = sum(1.0 if term in wanted else 0.7 if concepts(term) & meant else 0.0 for term in terms)
        if shared and (best is None or shared > best[0]):
            best = shared, option
    if best is not None:
        return best[1]
    return to_a_person(options) if _TO_A_PERSON.search(fold(goal)) else None


def to_a_person(options: Sequence[Option]) -> Option | None:
    """The option for whoever finds nothing else."""
    return next((option for option in options if _TO_A_PERSON.search(option.label)), None)


def _terms(text: str) -> set[str]:
    return {
        stem(word)
        for word in words(text)
        if word not in EMPTY and word not in _EMPTY_HERE and not word.isdigit() and not is_weak(stem(word))
    }
