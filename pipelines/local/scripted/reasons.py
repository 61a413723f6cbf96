"""The facts that may answer a question, and the reasons for and against each of them."""

from collections import Counter
from collections.abc import Collection, Sequence

from kb.words import stem
from pipelines.local.scripted.facts import Fact
from pipelines.local.scripted.meaning import Meanings
from pipelines.local.scripted.questions import Question
from pipelines.local.scripted.support import ALIKE, said, support

Reasons = dict[str, float]

_WORDS = 0.34
_FAR = 0.25
_ALIKE_ENOUGH_FOR_A_PRICE = 0.75
"""Braces and teeth are 0.65 alike, and cost something else."""
_NEAREST = 8
_BY_TOPIC = 3
# A question of these kinds wants a number: a sentence without one is no answer, however near it is.
STRICT = frozenset({"price", "phone", "email", "duration", "count"})
# Asked without naming anything, these are about the house itself: its hours, its address, its number.
_OF_THE_HOUSE = frozenset({"time", "clock", "place", "phone", "email"})
_OF_THE_HOUSE_ITSELF = 0.3
_KIND_WORDS = {
    "price": "price cost fee free charge rate discount ucret ucretsiz fiyat",
    "time": "open opening close closed hours always season acik kapali",
    "clock": "always",
    "duration": "until",
}
_KIND_TERMS = {kind: frozenset(stem(word) for word in listed.split()) for kind, listed in _KIND_WORDS.items()}
_FAR_IN_TOPIC = 0.3
_FAR_IN_JUDGEMENT = 1.2


async def candidates(
    question: Question, facts: Sequence[Fact], meanings: Meanings
) -> list[tuple[Fact, Reasons]]:
    """The facts that may answer, each with the reasons for and against it.

    `judged` and `judged_ahead` are among them where a ranker could be asked. What is said to be *ahead* is
    so of all other facts: where none is the answer, several are about equally near.
    """
    rarities = _rarities(facts)
    await meanings.learn([question.text])
    alike = [meanings.likeness(question.text, fact.text) for fact in facts]
    topics = meanings.topics_shared(question.text, [fact.text for fact in facts])
    rough = [
        alike[number] + _WORDS * coverage_of(question, rarities, _said_of(question, fact))
        for number, fact in enumerate(facts)
    ]
    everyone = range(len(facts))
    nearest = sorted(everyone, key=lambda number: -max(rough[number], alike[number]))[:_NEAREST]
    nearest += [
        number
        for number in sorted(everyone, key=lambda number: -topics[number][0])[:_BY_TOPIC]
        if number not in nearest
    ]
    await meanings.learn([placed(facts[number]) for number in nearest if facts[number].about])
    await meanings.learn(_words_to_compare(question, [facts[number] for number in nearest]))
    for number in nearest:
        alike[number] = _likeness(question, facts[number], meanings)
    possible = {number for number, fact in enumerate(facts) if not is_ruled_out(question, fact)}
    # "When are you open?" may have its answer in three sentences: none of them is ahead of the others.
    alone = possible
    if _is_of_the_house(question):
        alone = {number for number in possible if not is_of_kind(question, facts[number])}
    holds = {number: held_by(question, facts[number], meanings) for number in nearest}
    shares = {number: coverage_of(question, rarities, holds[number]) for number in nearest}
    nearest = [number for number in nearest if number in possible]
    judged = await meanings.judge(question.text, [placed(facts[number]) for number in nearest])
    sure = {} if judged is None else {n: _sureness(score) for n, score in zip(nearest, judged, strict=True)}
    found: list[tuple[Fact, Reasons]] = []
    for number in nearest:
        others = [other for other in nearest if other != number and other in alone]
        rivals = sorted((alike[other] for other in alone if other != number), reverse=True)
        reasons = _reasons(question, facts[number], holds[number], meanings)
        reasons |= {
            "alike": alike[number],
            "ahead": max(-_FAR, min(_FAR, alike[number] - rivals[0])) if rivals else _FAR,
            "ahead_of_three": alike[number] - sum(rivals[:3]) / 3 if len(rivals) >= 3 else _FAR,
            "words": shares[number],
            "words_ahead": shares[number] - max((shares[other] for other in others), default=0.0),
            "topic": topics[number][0],
            "topic_ahead": _ahead(topics[number][0], [topics[other][0] for other in others], _FAR_IN_TOPIC),
            "topics": topics[number][1],
            "topics_ahead": _ahead(topics[number][1], [topics[other][1] for other in others], _FAR_IN_TOPIC),
        }
        if sure:
            rest = [sure[other] for other in others]
            reasons |= {"judged": sure[number], "judged_ahead": _ahead(sure[number], rest, _FAR_IN_JUDGEMENT)}
        found.append((facts[number], reasons))
    return found


def _ahead(value: float, rivals: Collection[float], most: float) -> float:
    return max(-most, min(most, value - max(rivals))) if rivals else most


def _sureness(score: float) -> float:
    """A ranker's score from 0 to about 2: below the threshold it says no to what it does not understand."""
    return max(0.0, min(12.0, score + 7.0)) / 5.0


def _is_of_the_house(question: Question) -> bool:
    return question.kind in _OF_THE_HOUSE and not question.strong


def is_ruled_out(question: Question, fact: Fact) -> bool:
    """Whether a fact is no answer whatever it says: without the number, or the amount, that was asked for."""
    if question.named and not question.named <= _numbers(fact):
        return True
    return question.kind in STRICT and not is_of_kind(question, fact)


def _reasons(question: Question, fact: Fact, held: dict[str, float], meanings: Meanings) -> Reasons:
    of_kind = is_of_kind(question, fact)
    strong = [(weight, held[term]) for term, weight in question.terms if weight >= 0.4]
    unsaid = sum(weight * (1 - value) for weight, value in strong)
    return {
        "closeness": _closeness(question, fact, held, meanings),
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


def held_by(question: Question, fact: Fact, meanings: Meanings) -> dict[str, float]:
    """How surely a fact speaks of each word of a question."""
    alike_from = _ALIKE_ENOUGH_FOR_A_PRICE if question.kind in STRICT else ALIKE
    return {
        term: support(term, fact, meanings, heard, alike_from)
        for (term, _), heard in zip(question.terms, question.heard, strict=True)
    }


def coverage_of(question: Question, rarities: dict[str, float], held: dict[str, float]) -> float:
    """How much of a question a fact speaks of, from 0 to 1; rare words count more."""
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


def is_of_kind(question: Question, fact: Fact) -> bool:
    """Whether a fact has the price, the time, the person ... that a question wants."""
    if not question.kind:
        return False
    if question.kind == "duration" and "span" in fact.kinds:
        return True  # "until six" says how long, too
    return question.kind in fact.kinds or bool(_KIND_TERMS.get(question.kind, frozenset()) & fact.terms)


def _numbers(fact: Fact) -> frozenset[str]:
    return frozenset(term for term in fact.terms | fact.about_terms if term[0].isdigit())


def _likeness(question: Question, fact: Fact, meanings: Meanings) -> float:
    alone = meanings.likeness(question.text, fact.text)
    return max(alone, meanings.likeness(question.text, placed(fact)) - 0.03) if fact.about else alone


def compared_later(facts: Sequence[Fact]) -> list[str]:
    """What the facts are compared by besides their text: facts in their place, and their words."""
    in_place = [placed(fact) for fact in facts if fact.about]
    return list(dict.fromkeys([*in_place, *(word for fact in facts for word in fact.spelled)]))


def placed(fact: Fact) -> str:
    """A fact after what it stood under, which it may need to be understood."""
    return f"{fact.about}{' ' if fact.about.endswith('?') else '. '}{fact.text}" if fact.about else fact.text


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
