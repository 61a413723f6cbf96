"""Choosing the one fact that answers a question, or none."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from rapidfuzz import fuzz

from kb.words import stem
from pipelines.local.scripted.facts import Fact
from pipelines.local.scripted.lexicon import concepts, narrower, sound
from pipelines.local.scripted.meaning import Meanings
from pipelines.local.scripted.questions import Question

ACCEPT = 0.47
"""A fact below this is not spoken. Found on conversations of other trades than the tests judge."""
ACCEPT_BY_WORDS = 0.62
"""The same where meanings are not known."""

_COVERED = 0.34
_UNSUPPORTED = 0.26
_WITHOUT_THE_THING = 0.12
_WITHOUT_THE_DOING = 0.06
_OF_KIND = 0.12
_OF_DAY = 0.15
_ALIKE = 0.60
"""Kids and children are 0.89 alike, a lift and an elevator 0.62, dinner and breakfast 0.59."""
_ALIKE_ENOUGH_FOR_A_PRICE = 0.75
"""Braces and teeth are 0.65 alike, and cost something else."""
_CANDIDATES = 8
_COMPARED = 4
# A question of these kinds wants a number: a sentence without one is no answer, however near it is.
_STRICT = frozenset({"price", "phone", "email", "duration", "count"})
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
    # The question by itself: one text goes before whatever else is being embedded.
    await meanings.learn([question.text])
    await meanings.learn([fact.text for fact in facts])
    rarities = _rarities(facts)
    alike = [meanings.likeness(question.text, fact.text) for fact in facts]
    rough = [score(question, fact, alike[number], rarities, meanings) for number, fact in enumerate(facts)]
    nearest = sorted(range(len(facts)), key=lambda number: -max(rough[number], alike[number]))[:_CANDIDATES]
    candidates = [facts[number] for number in nearest]
    await meanings.learn([_placed(fact) for fact in candidates if fact.about])
    await meanings.learn(_words_to_compare(question, candidates[:_COMPARED]))
    scored = [
        Answer(fact, score(question, fact, _likeness(question, fact, meanings), rarities, meanings))
        for fact in candidates
    ]
    accept = ACCEPT if meanings.are_known else ACCEPT_BY_WORDS
    accepted = sorted((each for each in scored if each.score >= accept), key=lambda each: -each.score)
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


def score(  # noqa: PLR0912 - a sum of reasons
    question: Question, fact: Fact, likeness: float, rarities: dict[str, float], meanings: Meanings
) -> float:
    """How well a fact answers, roughly 0..1: alike in meaning, about the same things, of the kind asked."""
    if question.named and not question.named <= _numbers(fact):
        return 0.0
    of_kind = _is_of_kind(question, fact)
    if question.kind in _STRICT and not of_kind:
        return 0.0
    alike_from = _ALIKE_ENOUGH_FOR_A_PRICE if question.kind in _STRICT else _ALIKE
    held = {
        term: support(term, fact, meanings, heard, alike_from)
        for (term, _), heard in zip(question.terms, question.heard, strict=True)
    }
    total = covered = 0.0
    for term, weight in question.terms:
        weighed = weight * rarities.get(term, 1.0)
        total += weighed
        covered += weighed * held[term]
    coverage = covered / total if total else 0.0
    found = likeness + _COVERED * coverage
    strong = [(weight, held[term]) for term, weight in question.terms if weight >= 0.4]
    if strong:
        missing = sum(weight * (1 - share) for weight, share in strong)
        found -= _UNSUPPORTED * missing / sum(weight for weight, _ in strong)
        # A thing that is asked for by name and not spoken of anywhere in the fact: not the same thing.
        if question.kind in _STRICT and missing > 0.6 * sum(weight for weight, _ in strong):
            return 0.0
    if question.thing and held.get(question.thing, 1.0) < 0.5:
        found -= _WITHOUT_THE_THING
    if question.doing and held.get(question.doing, 1.0) < 0.5:
        found -= _WITHOUT_THE_DOING
    if of_kind and not strong and question.kind in _OF_THE_HOUSE:
        found += _OF_THE_HOUSE_ITSELF
    elif of_kind:
        found += _OF_KIND
    elif question.kind in ("number", "who", "clock"):
        found -= 0.2
    if question.days & fact.days:
        found += _OF_DAY
    if not meanings.are_known:
        found = 0.9 * coverage + (0.15 if of_kind else 0.0) + (_OF_DAY if question.days & fact.days else 0.0)
        if not total:
            found = 0.7 if of_kind and question.kind in ("time", "clock") else found
    return max(0.0, found)


def said(term: str, fact: Fact, heard: str = "") -> float:
    """How surely a fact has a word itself, another word for it, or one that sounds the same."""
    if term in fact.terms:
        return 1.0
    every = fact.terms | fact.about_terms
    meant = concepts(term)
    if term in every or (meant and any(meant & concepts(each) for each in every)) or narrower(term) & every:
        return 0.9
    # A haircut is a cut, a microchip is a chip.
    if len(term) >= 3 and any(each.endswith(term) and len(each) - len(term) >= 4 for each in fact.terms):
        return 0.7
    # Only what the sentence itself says: every title has "prices", and braces sound like it.
    own = (each for each in fact.spelled if stem(each) in fact.terms)
    return 0.8 if any(_is_misheard(heard or term, each) for each in own) else 0.0


def support(term: str, fact: Fact, meanings: Meanings, heard: str = "", alike_from: float = _ALIKE) -> float:
    """How surely a fact speaks of a word: said, said otherwise, sounding the same, or alike in meaning.

    `heard` is the stem's whole word.
    """
    held = said(term, fact, heard)
    if held:
        return held
    if not meanings.are_known:
        every = fact.terms | fact.about_terms
        return 0.8 if any(_has_the_same_root(term, each) for each in every) else 0.0
    alike = max((meanings.likeness(heard or term, each) for each in fact.spelled), default=0.0)
    return 0.7 if alike >= alike_from else 0.0


def _has_the_same_root(one: str, other: str) -> bool:
    """Whether two words are one with different endings, as Turkish hangs them on: kart, kartlar."""
    root = max(4, min(len(one), len(other)) - 1)
    return len(other) >= 4 and one[:root] == other[:root]


def _is_misheard(word: str, other: str) -> bool:
    if len(word) < 4 or len(other) < 4 or word[0].isdigit() or other[0].isdigit():
        return False
    likeness = fuzz.ratio(word, other)
    return likeness >= 86 or (likeness >= 70 and sound(word) == sound(other) and len(sound(word)) >= 3)


def _is_of_kind(question: Question, fact: Fact) -> bool:
    if not question.kind:
        return False
    if question.kind == "duration" and "clock" in fact.kinds:
        return True  # "until six" says how long, too
    return question.kind in fact.kinds or bool(_KIND_TERMS.get(question.kind, frozenset()) & fact.terms)


def _numbers(fact: Fact) -> frozenset[str]:
    return frozenset(term for term in fact.terms | fact.about_terms if term[0].isdigit())


def _likeness(question: Question, fact: Fact, meanings: Meanings) -> float:
    alone = meanings.likeness(question.text, fact.text)
    return max(alone, meanings.likeness(question.text, _placed(fact)) - 0.03) if fact.about else alone


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
