"""What to offer where nothing is sure to answer: the nearest facts, said to be no more than that."""

import re
from collections.abc import Sequence

from pipelines.local.scripted import answers, questions
from pipelines.local.scripted.facts import INJECTED, Fact
from pipelines.local.scripted.meaning import Meanings
from pipelines.local.scripted.questions import Question
from pipelines.local.scripted.speech import speakable
from pipelines.local.scripted.support import heard_right
from pipelines.local.scripted.wording import Wording

_NEAR = -3.6
"""What the reasons for the nearest fact must come to. Of questions whose answer is written this and `_ALIKE`
leave out one of sixty, of those whose answer is not, a third."""
_NEAR_UNASKED = -2.2
"""The same where nothing was asked: who only tells something, mostly tells it to somebody else."""
_TROUBLE = re.compile(
    r"\bi(?:'ve| have| think i| think i've)? (?:left|forgot|forgotten|lost|broke)\b"
    r"|\bi(?:'m| am|'ll be)(?: \w+){0,3} (?:late|after|stuck)\b"
)
"""Who tells what happened asks what to do about it."""
_NEXT = -5.0
"""The same for the second fact, beside one that is near."""
_ALIKE = 0.22
_SAID = 0.4
"""A fact that is no more like the question than this has at least to say so much of its words."""
_VERY_ALIKE = 0.4
"""From here on a fact is near, whatever the reasons come to."""
_BY_WORDS = 0.4
"""Where meanings are not known: a share of the words, see `answers.by_words`."""
_MOST_WORDS = 45
"""Two facts are offered in about fifteen seconds of speech; a longer second one is left out."""


async def offer(
    asked: Sequence[Question],
    whole: Question,
    facts: Sequence[Fact],
    said_last: str,
    meanings: Meanings,
    wording: Wording,
) -> str | None:
    """A refusal that goes on with the one or two nearest facts; None when nothing is near.

    `whole` is all that was said, read as one question. What was `said_last` was no answer, since something
    is asked again: it is not offered once more.
    """
    if _is_forbidden(whole):
        return None
    left = [fact for fact in facts if speakable(fact.text) not in said_last]
    found = [await nearest(readings, left, meanings) for readings in _readings(asked[:2], whole)]
    # Of two questions the nearest fact to each, of one question its two nearest.
    ranked = [fact for rank in range(2) for each in found for fact in each[rank : rank + 1]]
    chosen = list(dict.fromkeys(speakable(fact.text) for fact in ranked))[:2]
    if not chosen or len(chosen[0].split()) > _MOST_WORDS:
        return None
    told = wording.say("offer", fact=chosen[0])
    if len(chosen) == 2 and sum(len(text.split()) for text in chosen) <= _MOST_WORDS:
        told = f"{told} {wording.say('offer_more', fact=chosen[1])}"
    return told


def _is_forbidden(question: Question) -> bool:
    return bool(INJECTED.search(question.text))


def _readings(asked: Sequence[Question], whole: Question) -> list[list[Question]]:
    """What to search for, each in several readings: "My father uses a wheelchair. Can he get up there?"

    The question alone, and with what was said before it: either may be the one that is near to its answer.
    """
    if len(asked) == 1:
        question = asked[0]
        return [[question, whole]] if whole.says_more_than(question) else [[question]]
    if questions.are_about_one_thing(asked):
        # "Which one is for us, and what does it cost?" is one question, about one thing.
        return [[asked[-1], whole]]
    return [[question] for question in asked]


async def nearest(readings: Sequence[Question], facts: Sequence[Fact], meanings: Meanings) -> list[Fact]:
    """The facts that are near enough to one question's readings to be offered, nearest first."""
    near = [found for reading in readings if (found := await _near(reading, facts, meanings))]
    # The nearest by each reading before the next by any, and first by that which came nearer.
    near.sort(key=lambda found: -found[0][1])
    ranked = [found[rank][0] for rank in range(2) for found in near if rank < len(found)]
    return list(dict.fromkeys(ranked))[:2]


async def _near(question: Question, facts: Sequence[Fact], meanings: Meanings) -> list[tuple[Fact, float]]:
    if not facts or not (question.strong or question.kind or question.is_asking):
        return []
    question = heard_right(question, facts)
    await meanings.learn([question.text])
    await meanings.learn([fact.text for fact in facts])
    if not meanings.know([question.text, *(fact.text for fact in facts)]):
        by_words = answers.by_words(question, facts, meanings, _BY_WORDS)
        return [(each.fact, each.score) for each in by_words]
    found = [
        (answers.sureness(reasons), reasons["alike"], fact)
        for fact, reasons in await answers.candidates(question, facts, meanings)
        if reasons["alike"] >= _ALIKE or reasons["words"] >= _SAID
    ]
    found = sorted(found, key=lambda each: -each[0])[:2]
    floor = _NEAR if question.is_asking or _TROUBLE.search(question.text) else _NEAR_UNASKED
    if not any(sureness >= floor or alike >= _VERY_ALIKE for sureness, alike, _ in found):
        return []
    return [(fact, sureness) for sureness, _, fact in found if sureness >= _NEXT]
