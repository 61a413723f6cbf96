"""Facts put together into one short answer."""

from collections.abc import Sequence

from pipelines.local.scripted import answers, questions
from pipelines.local.scripted.facts import Fact
from pipelines.local.scripted.meaning import Meanings
from pipelines.local.scripted.questions import Question
from pipelines.local.scripted.speech import speakable
from pipelines.local.scripted.wording import Wording

_MOST_FACTS = 2
_MOST_HOURS = 3
_NEAR = 0.2


async def tell(
    asked: Sequence[Question], whole: Question, facts: Sequence[Fact], meanings: Meanings, wording: Wording
) -> str | None:
    """The facts that are sure to answer, spoken; None when nothing is.

    `whole` is all that was said, read as one question.
    """
    said: list[str] = []
    used: set[Fact] = set()
    missing = 0
    for question in asked[: _MOST_FACTS + 1]:
        found = await _surely(question, whole if len(asked) == 1 else question, facts, meanings)
        if found is None:
            missing += bool(question.strong or question.kind)
            continue
        if found.fact in used:
            continue
        used.add(found.fact)
        text = speakable(found.fact.text)
        if found.misses_day:
            names = [wording.day_names[day] for day in sorted(question.days)]
            day = wording.listed(names) if len(names) <= 2 else wording.say("which_day")
            text = wording.say("not_for_day", day=day, fact=text)
        said.append(text)
        if question.kind in ("time", "clock") and not (question.days or question.strong):
            for more in _other_days(question, found, facts, used, meanings):
                used.add(more)
                said.append(speakable(more.text))
    if not said or (missing and questions.are_about_one_thing(asked)):
        return None  # which one it is was asked, and its price: that of another is no answer
    if missing and len(asked) > 1:
        said.append(wording.say("dont_have_short"))
    return " ".join(said)


async def _surely(
    question: Question, whole: Question, facts: Sequence[Fact], meanings: Meanings
) -> answers.Answer | None:
    found = await answers.best(question, facts, meanings)
    if found is None or not found.is_sure:
        return None
    if whole.says_more_than(question):
        # "I've got a dog with me. What's a ticket?": what else was said may be what it is about.
        other = await answers.best(whole, facts, meanings)
        if other is not None and other.fact != found.fact and other.score > found.score:
            return None
    return found


def _other_days(
    question: Question, found: answers.Answer, facts: Sequence[Fact], used: set[Fact], meanings: Meanings
) -> list[Fact]:
    """Hours of the other days, where they stand in sentences of their own."""
    covered = set(found.fact.days)
    others: list[Fact] = []
    alike = {fact: meanings.likeness(question.text, fact.text) for fact in facts}
    for other in sorted(facts, key=lambda fact: -alike[fact]):
        is_near = alike[other] >= alike.get(found.fact, 0.0) - _NEAR or other.about == found.fact.about != ""
        if other in used or "time" not in other.kinds or not other.days - covered or not is_near:
            continue
        if (
            len(others) < _MOST_HOURS - 1 and found.fact.terms & other.terms
        ) or other.about == found.fact.about:
            covered |= other.days
            others.append(other)
    return others[: _MOST_HOURS - 1]
