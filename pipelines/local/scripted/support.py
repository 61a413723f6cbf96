"""Whether a fact speaks of a word: says it, says it otherwise, sounds like it, or means about the same."""

import re
from collections.abc import Sequence
from dataclasses import replace

from rapidfuzz import fuzz

from kb.words import stem
from pipelines.local.scripted.facts import Fact
from pipelines.local.scripted.lexicon import concepts, narrower, sound
from pipelines.local.scripted.meaning import Meanings
from pipelines.local.scripted.questions import Question

ALIKE = 0.60
"""Kids and children are 0.89 alike, a lift and an elevator 0.62, dinner and breakfast 0.59."""


def heard_right(question: Question, facts: Sequence[Fact]) -> Question:
    """The question with words that nobody wrote replaced by written ones that sound the same.

    "Glue ten" becomes gluten: what a recogniser makes of a word misleads by its meaning, too.
    """
    written = {word for fact in facts for word in fact.spelled}
    known = {stem(word) for word in written}
    text, terms, heard = question.text, list(question.terms), list(question.heard)
    for number, (term, weight) in enumerate(question.terms):
        if term in known or weight < 0.4:
            continue
        word, after = question.heard[number], question.followed[number]
        pair = [each for each in written if after and _is_said_in_two(word + after, each)]
        alone = pair or [each for each in written if not each.startswith(term) and _is_misheard(word, each)]
        if not alone:
            continue
        meant = max(sorted(alone), key=lambda each: fuzz.ratio(word + after if pair else word, each))
        text = re.sub(rf"\b{re.escape(word)}\b" + (rf"\W+{re.escape(after)}\b" if pair else ""), meant, text)
        terms[number], heard[number] = (stem(meant), weight), meant
    return replace(question, text=text, terms=tuple(terms), heard=tuple(heard))


def said(term: str, fact: Fact, heard: str = "") -> float:
    """How surely a fact has a word itself, another word for it, or one that sounds the same."""
    if term in fact.terms:
        return 1.0
    every = fact.terms | fact.about_terms
    meant = concepts(term)
    if term in every or (meant and any(meant & concepts(each) for each in every)) or narrower(term) & every:
        return 0.9
    # A haircut is a cut, microchipping is about a chip.
    if len(term) >= 3 and any(each.endswith(term) and len(each) - len(term) >= 4 for each in fact.terms):
        return 0.7
    if len(term) >= 4 and any(term in each[4:] for each in fact.spelled):
        return 0.7
    # Only what the sentence itself says: every title has "prices", and braces sound like it.
    own = [each for each in fact.spelled if stem(each) in fact.terms]
    return 0.8 if any(_is_misheard(heard or term, each) for each in own) else 0.0


def support(
    term: str,
    fact: Fact,
    meanings: Meanings,
    heard: str = "",
    alike_from: float = ALIKE,
) -> float:
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
    return likeness >= (82 if min(len(word), len(other)) >= 8 else 86) or (
        likeness >= 70 and sound(word) == sound(other) and len(sound(word)) >= 3
    )


def _is_said_in_two(together: str, other: str) -> bool:
    if len(other) < 5:
        return False
    likeness = fuzz.ratio(together, other)
    return likeness >= 86 or (len(other) >= 6 and likeness >= 70 and sound(together) == sound(other))
