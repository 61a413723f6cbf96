"""Choosing the one fact that answers a question, or none."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from kb.words import stem
from pipelines.local.scripted.certainty import is_sure
from pipelines.local.scripted.facts import Fact
from pipelines.local.scripted.meaning import Meanings
from pipelines.local.scripted.questions import Question
from pipelines.local.scripted.support import ALIKE, heard_right, said, support

WEIGHTS = {
    "alike": 3.6,
    "ahead": 7.15,
    "ahead_of_three": 4.5,
    "words": 1.0,
    "words_ahead": 1.6,
    "closeness": 1.1,
    "not_the_thing": -1.25,
    "not_the_doing": -1.85,
    "of_another_kind": -2.4,
    "of_day": 3.0,
    "of_the_house": 4.5,
    "another_price": -1.0,
    "says_it_itself": 0.8,
    "lists_it": 2.8,
}
"""What each reason counts: a logistic regression over agents of twelve trades, each question asked both with
and without its answer among the facts. That a fact is ahead of the others says most: where no fact is the
answer, several are about equally near. The last four are set by hand: a question about the house itself
names nothing to compare, the price of something else is the worst of answers, a sentence that has the very
words of the question is not only near in meaning, and what there is of a thing is a list."""
BIAS = -4.7
ACCEPT = -0.5
"""A fact less sure than this is no answer. One that is an answer may still only be offered: `certainty`."""
ACCEPT_BY_WORDS = 0.62
"""The same where meanings are not known: a share of the words."""

_WORDS = 0.34
_FAR = 0.25
_OF_DAY = 0.15
_ALIKE_ENOUGH_FOR_A_PRICE = 0.75
"""Braces and teeth are 0.65 alike, and cost something else."""
_CANDIDATES = 8
_COMMON = 0.6
"""A word that three facts have is what the place is about."""
# A question of these kinds wants a number: a sentence without one is no answer, however near it is.
_STRICT = frozenset({"price", "phone", "email", "duration", "count"})
# Asked without naming anything, these are about the house itself: its hours, its address, its number.
_OF_THE_HOUSE = frozenset({"time", "clock", "place", "phone", "email"})
_KIND_WORDS = {
    "price": "price cost fee free charge rate discount ucret ucretsiz fiyat",
    "time": "open opening close closed hours always season acik kapali",
    "clock": "always",
    "duration": "until",
}
_KIND_TERMS = {kind: frozenset(stem(word) for word in listed.split()) for kind, listed in _KIND_WORDS.items()}


@dataclass(frozen=True, slots=True)
class Answer:
    """A fact and how sure it is. `misses_day` means that it fits, but says nothing of the day asked.

    One that is not `is_sure` may be offered, and must not be told as the answer.
    """

    fact: Fact
    score: float
    misses_day: bool = False
    is_sure: bool = True


async def best(question: Question, facts: Sequence[Fact], meanings: Meanings) -> Answer | None:
    """The fact that answers, or None. The same arguments always give the same answer."""
    if not facts or not (question.strong or question.kind or question.days or question.terms):
        return None
    question = heard_right(question, facts)
    # The question by itself: one text goes before whatever else is being embedded.
    await meanings.learn([question.text])
    await meanings.learn([fact.text for fact in facts])
    if meanings.know([question.text, *(fact.text for fact in facts)]):
        found = await _weighed(question, facts, meanings)
    else:
        found = by_words(question, facts, meanings, ACCEPT_BY_WORDS)
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
        return replace(timed[0], misses_day=True)
    return accepted[0]


async def _weighed(question: Question, facts: Sequence[Fact], meanings: Meanings) -> list[Answer]:
    found: list[Answer] = []
    common = {term for term, rarity in _rarities(facts).items() if rarity <= _COMMON}
    for fact, reasons in await candidates(question, facts, meanings):
        sure = sureness(reasons)
        if sure >= ACCEPT:
            score = min(1.1, 0.5 + 0.08 * sure)
            found.append(Answer(fact, score, is_sure=is_sure(question, fact, reasons, sure, common)))
    return found


def sureness(reasons: dict[str, float]) -> float:
    """What the reasons come to: 0 is as likely the answer as not."""
    return BIAS + sum(WEIGHTS[name] * value for name, value in reasons.items())


async def candidates(
    question: Question, facts: Sequence[Fact], meanings: Meanings
) -> list[tuple[Fact, dict[str, float]]]:
    """The facts that may answer, each with the reasons for and against it (see `WEIGHTS`)."""
    rarities = _rarities(facts)
    await meanings.learn([question.text])
    alike = [meanings.likeness(question.text, fact.text) for fact in facts]
    rough = [
        alike[number] + _WORDS * _coverage(question, rarities, _said_of(question, fact))
        for number, fact in enumerate(facts)
    ]
    nearest = sorted(range(len(facts)), key=lambda number: -max(rough[number], alike[number]))[:_CANDIDATES]
    await meanings.learn([_placed(facts[number]) for number in nearest if facts[number].about])
    await meanings.learn(_words_to_compare(question, [facts[number] for number in nearest]))
    for number in nearest:
        alike[number] = _likeness(question, facts[number], meanings)
    possible = {number for number, fact in enumerate(facts) if not _is_ruled_out(question, fact)}
    # "When are you open?" may have its answer in three sentences: none of them is ahead of the others.
    alone = possible
    if _is_of_the_house(question):
        alone = {number for number in possible if not _is_of_kind(question, facts[number])}
    held = {number: _held(question, facts[number], meanings) for number in nearest}
    shares = {number: _coverage(question, rarities, held[number]) for number in nearest}
    found: list[tuple[Fact, dict[str, float]]] = []
    for number in nearest:
        if number not in possible:
            continue
        rivals = _Rivals(
            alike=sorted((alike[other] for other in alone if other != number), reverse=True),
            words=max(
                (shares[other] for other in nearest if other != number and other in alone), default=0.0
            ),
        )
        closeness = _closeness(question, facts[number], held[number], meanings)
        reasons = _reasons(
            question, facts[number], held[number], alike[number], shares[number], closeness, rivals
        )
        found.append((facts[number], reasons))
    return found


def _is_of_the_house(question: Question) -> bool:
    return question.kind in _OF_THE_HOUSE and not question.strong


@dataclass(frozen=True, slots=True)
class _Rivals:
    """The other facts that could answer: how alike to the question, most first, and the best by words."""

    alike: list[float]
    words: float


def _is_ruled_out(question: Question, fact: Fact) -> bool:
    if question.named and not question.named <= _numbers(fact):
        return True
    return question.kind in _STRICT and not _is_of_kind(question, fact)


def _reasons(
    question: Question,
    fact: Fact,
    held: dict[str, float],
    alike: float,
    share: float,
    closeness: float,
    rivals: _Rivals,
) -> dict[str, float]:
    of_kind = _is_of_kind(question, fact)
    strong = [(weight, held[term]) for term, weight in question.terms if weight >= 0.4]
    unsaid = sum(weight * (1 - value) for weight, value in strong)
    return {
        "alike": alike,
        "ahead": max(-_FAR, min(_FAR, alike - rivals.alike[0])) if rivals.alike else _FAR,
        "ahead_of_three": alike - sum(rivals.alike[:3]) / 3 if len(rivals.alike) >= 3 else _FAR,
        "words": share,
        "words_ahead": share - rivals.words,
        "closeness": closeness,
        "not_the_thing": float(bool(question.thing) and held.get(question.thing, 1.0) < 0.5),
        "not_the_doing": float(bool(question.doing) and held.get(question.doing, 1.0) < 0.5),
        "of_another_kind": float(bool(question.kind) and not of_kind),
        "of_day": float((question.is_asking or bool(question.kind)) and bool(question.days & fact.days)),
        "another_price": float(
            question.kind == "price" and unsaid > 0.6 * sum(weight for weight, _ in strong)
        ),
        "of_the_house": float(of_kind and _is_of_the_house(question)),
        "says_it_itself": float(bool(question.strong) and fact.terms.issuperset(question.strong)),
        "lists_it": float(question.wants_list and fact.text.count(",") >= 2 and unsaid < 0.3),
    }


def _said_of(question: Question, fact: Fact) -> dict[str, float]:
    return {
        term: said(term, fact, heard) for (term, _), heard in zip(question.terms, question.heard, strict=True)
    }


def _held(question: Question, fact: Fact, meanings: Meanings) -> dict[str, float]:
    alike_from = _ALIKE_ENOUGH_FOR_A_PRICE if question.kind in _STRICT else ALIKE
    return {
        term: support(term, fact, meanings, heard, alike_from)
        for (term, _), heard in zip(question.terms, question.heard, strict=True)
    }


def _coverage(question: Question, rarities: dict[str, float], held: dict[str, float]) -> float:
    total = covered = 0.0
    for term, weight in question.terms:
        weighed = weight * rarities.get(term, 1.0)
        total += weighed
        covered += weighed * held[term]
    return covered / total if total else 0.0


def _closeness(question: Question, fact: Fact, held: dict[str, float], meanings: Meanings) -> float:
    """How near the fact's words come to what is asked about, where none of them says it."""
    near = total = 0.0
    for (term, weight), heard in zip(question.terms, question.heard, strict=True):
        if weight >= 0.4:
            found = held[term] or max((meanings.likeness(heard, each) for each in fact.spelled), default=0.0)
            near += weight * found
            total += weight
    return near / total if total else 0.5


def by_words(question: Question, facts: Sequence[Fact], meanings: Meanings, floor: float) -> list[Answer]:
    """The answers where meanings are not known, those that words speak for as much as `floor`, best first."""
    found = [Answer(fact, _by_words(question, fact, meanings)) for fact in facts]
    return sorted((each for each in found if each.score >= floor), key=lambda each: -each.score)


def _by_words(question: Question, fact: Fact, meanings: Meanings) -> float:
    """How well a fact answers where meanings are not known, roughly 0 to 1."""
    if _is_ruled_out(question, fact):
        return 0.0
    held = _held(question, fact, meanings)
    strong = [(weight, held[term]) for term, weight in question.terms if weight >= 0.4]
    missing = sum(weight * (1 - share) for weight, share in strong)
    if question.kind in _STRICT and missing > 0.6 * sum(weight for weight, _ in strong):
        return 0.0
    of_kind, of_day = _is_of_kind(question, fact), bool(question.days & fact.days)
    if not question.terms and of_kind and question.kind in _OF_THE_HOUSE:
        # Of several places, the one with a number is the address.
        return 0.7 + _OF_DAY * of_day + 0.05 * ("number" in fact.kinds)
    coverage = _coverage(question, {}, held)
    return 0.9 * coverage + 0.15 * of_kind + _OF_DAY * of_day


def _is_of_kind(question: Question, fact: Fact) -> bool:
    if not question.kind:
        return False
    if question.kind == "duration" and "span" in fact.kinds:
        return True  # "until six" says how long, too
    return question.kind in fact.kinds or bool(_KIND_TERMS.get(question.kind, frozenset()) & fact.terms)


def _numbers(fact: Fact) -> frozenset[str]:
    return frozenset(term for term in fact.terms | fact.about_terms if term[0].isdigit())


def _likeness(question: Question, fact: Fact, meanings: Meanings) -> float:
    alone = meanings.likeness(question.text, fact.text)
    return max(alone, meanings.likeness(question.text, _placed(fact)) - 0.03) if fact.about else alone


def compared_later(facts: Sequence[Fact]) -> list[str]:
    """What the facts are compared by besides their text: facts in their place, and their words."""
    placed = [_placed(fact) for fact in facts if fact.about]
    return list(dict.fromkeys([*placed, *(word for fact in facts for word in fact.spelled)]))


def _placed(fact: Fact) -> str:
    return f"{fact.about}. {fact.text}"


def _rarities(facts: Sequence[Fact]) -> dict[str, float]:
    """A word that half of the facts have tells them apart less than one that a single fact has."""
    held = Counter(term for fact in facts for term in fact.terms)
    return {term: 1.0 / (1.0 + 0.35 * (count - 1)) for term, count in held.items()}


def _words_to_compare(question: Question, facts: Sequence[Fact]) -> list[str]:
    unsupported = [
        heard
        for (term, weight), heard in zip(question.terms, question.heard, strict=True)
        if weight >= 0.4 and not all(said(term, fact, heard) for fact in facts)
    ]
    if not unsupported:
        return []
    return [*unsupported, *dict.fromkeys(word for fact in facts for word in fact.spelled)]
