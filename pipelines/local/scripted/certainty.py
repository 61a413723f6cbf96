"""Whether a fact may be told as the answer, or only be offered as the nearest that is known."""

import re
from collections.abc import Mapping, Set

from kb.words import fold
from pipelines.local.scripted.facts import Fact
from pipelines.local.scripted.questions import Question

SURE = 0.5
"""A fact that the reasons speak for less than this is only offered, and so is one with a doubt about it."""
_CLEARLY = 0.7
"""From here on it need not be ahead of every other fact."""
_AHEAD = 0.05
_MUCH = 1.5
"""From here on it need not have a word that tells it apart."""
_HOUSE = re.compile(
    r"\b(?:open\w*|clos\w*|shut\w*|hours|there|here|days?|acik\w*|kapal\w*|acil\w*|kapan\w*|saat\w*|gun\w*)\b"
)


def is_sure(
    question: Question, fact: Fact, reasons: Mapping[str, float], sureness: float, common: Set[str]
) -> bool:
    """Whether a fact is the answer beyond doubt. `common` are the words that several facts have."""
    return sureness >= SURE and not (
        _is_about_hours_alone(question, fact)
        or _is_about_other_hours(question, reasons)
        or _lacks_half_of_what_is_asked(question, reasons)
        or _shares_nothing(question, reasons)
        or (sureness < _MUCH and _shares_only_what_many_say(question, fact, common))
        or (sureness < _CLEARLY and reasons["ahead"] < _AHEAD and not reasons["of_the_house"])
    )


def _is_about_hours_alone(question: Question, fact: Fact) -> bool:
    """Hours name a thing, and something else is asked about it: "what if it's in the workshop"."""
    return (
        bool(fact.days)
        and "span" in fact.kinds
        and question.kind not in ("time", "clock", "duration")
        and not question.days
    )


def _is_about_other_hours(question: Question, reasons: Mapping[str, float]) -> bool:
    """A time is asked for, and not that of opening or closing: "until when can I get in"."""
    return (
        bool(reasons["of_the_house"])
        and question.kind in ("time", "clock")
        and not question.days
        and not _HOUSE.search(fold(question.text))
    )


def _lacks_half_of_what_is_asked(question: Question, reasons: Mapping[str, float]) -> bool:
    """A number is asked for, and the sentence has one: of one thing of two, it may be that of the other."""
    named = [term for term, weight in question.terms if weight >= 0.5]
    return question.kind in ("duration", "count", "price") and len(named) >= 2 and reasons["words"] < 0.5


def _shares_nothing(question: Question, reasons: Mapping[str, float]) -> bool:
    """Nothing that was named is spoken of, nor is it near in meaning; a day in common is not enough."""
    return bool(question.strong) and reasons["words"] < 0.25 and reasons["alike"] < 0.45


def _shares_only_what_many_say(question: Question, fact: Fact, common: Set[str]) -> bool:
    """ "Which box is right for us" shares its box with every sentence of who sells boxes."""
    shared = fact.terms.intersection(question.strong)
    return bool(shared) and shared <= common
