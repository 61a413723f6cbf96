"""Choosing the one fact that answers a question, or none."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

from pipelines.local.scripted.facts import Fact
from pipelines.local.scripted.meaning import Meanings
from pipelines.local.scripted.questions import Question
from pipelines.local.scripted.reasons import (
    STRICT,
    candidates,
    coverage_of,
    held_by,
    is_of_kind,
    is_ruled_out,
)
from pipelines.local.scripted.support import heard_right

ACCEPT_BY_WORDS = 0.62
"""A fact less sure than this is not spoken, where meanings are not known: a share of the words."""

_OF_DAY = 0.15


@dataclass(frozen=True)
class Scale:
    """What each reason weighs; a fact less sure than `accept` is not spoken.

    A logistic regression over agents of many trades, each question asked both with and without its answer
    among the facts: `python -m bench.answer_weights` makes `data/weights.json`.
    """

    weights: Mapping[str, float]
    bias: float
    accept: float

    def weigh(self, reasons: Mapping[str, float]) -> float:
        """How sure it is that a fact with these reasons is the answer, in log odds."""
        return self.bias + sum(self.weights[name] * value for name, value in reasons.items())


_SCALES = json.loads((files("pipelines.local.scripted") / "data" / "weights.json").read_text("utf-8"))
JUDGED = Scale(**_SCALES["judged"])
"""Where a ranker read the question together with each fact."""
UNJUDGED = Scale(**_SCALES["unjudged"])
"""Where there is none, or it failed."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A fact and how sure it is. `misses_day` means that it fits, but says nothing of the day asked."""

    fact: Fact
    score: float
    misses_day: bool = False


async def best(question: Question, facts: Sequence[Fact], meanings: Meanings) -> Answer | None:
    """The fact that answers, or None. The same arguments always give the same answer."""
    if not facts or not (question.strong or question.kind or question.days or question.terms):
        return None
    question = heard_right(question, facts)
    # The question by itself: one text goes before whatever else is being embedded.
    await meanings.learn([question.text])
    await meanings.learn([fact.text for fact in facts])
    if meanings.are_known:
        found = await _weighed(question, facts, meanings)
    else:
        found = [Answer(fact, _by_words(question, fact, meanings)) for fact in facts]
        found = [each for each in found if each.score >= ACCEPT_BY_WORDS]
    accepted = sorted(found, key=lambda each: -each.score)
    if not accepted:
        return None
    if not question.days:
        return accepted[0]
    of_day = [each for each in accepted if each.fact.days & question.days]
    if of_day:
        return of_day[0]
    timed = [each for each in accepted if each.fact.days]
    if timed and (question.kind in ("time", "clock") or timed[0] is accepted[0]):
        return Answer(timed[0].fact, timed[0].score, misses_day=True)
    return accepted[0]


async def _weighed(question: Question, facts: Sequence[Fact], meanings: Meanings) -> list[Answer]:
    found: list[Answer] = []
    for fact, reasons in await candidates(question, facts, meanings):
        scale = JUDGED if "judged" in reasons else UNJUDGED
        if (sure := scale.weigh(reasons)) >= scale.accept:
            found.append(Answer(fact, min(1.1, 0.5 + 0.08 * sure)))
    return found


def _by_words(question: Question, fact: Fact, meanings: Meanings) -> float:
    """How well a fact answers where meanings are not known, roughly 0 to 1."""
    if is_ruled_out(question, fact):
        return 0.0
    held = held_by(question, fact, meanings)
    strong = [(weight, held[term]) for term, weight in question.terms if weight >= 0.4]
    missing = sum(weight * (1 - share) for weight, share in strong)
    if question.kind in STRICT and missing > 0.6 * sum(weight for weight, _ in strong):
        return 0.0
    of_kind, of_day = is_of_kind(question, fact), bool(question.days & fact.days)
    if not question.terms and of_kind and question.kind in ("time", "clock"):
        return 0.7 + _OF_DAY * of_day
    coverage = coverage_of(question, {}, held)
    return 0.9 * coverage + 0.15 * of_kind + _OF_DAY * of_day
