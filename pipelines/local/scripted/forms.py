"""Filling in a function: ask, correct, read back, confirm."""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime

from kb.words import fold, stem, words
from pipelines.local.scripted import intents, slots
from pipelines.local.scripted.functions import Function, Slot
from pipelines.local.scripted.slots import Value
from pipelines.local.scripted.state import Call, Form, Reply, State
from pipelines.local.scripted.wording import Wording

Answering = Callable[[], Awaitable[str | None]]
"""Answers the caller's words as a question, or gives None."""

_MOST_FAILURES = 3
_CORRECTS = re.compile(
    r"\b(?:no|not|actually|sorry|wait|change|instead|rather|i mean|i meant|make (?:it|that)|wrong|"
    r"correction|oops|"
    r"hayir|degil|yerine|pardon|aslinda|degistir)\b"
)
_ASKS = re.compile(
    r"^(?:(?:um+|uh+|well|so|and|but|wait|sorry|okay|ok|first|oh|hold on|actually|before that)[, ]+)*"
    r"(?:what|what's|whats|how|when|where|who|why|which|do|does|is|are|can|could|will|would|may|have|has)\b"
    r"|\b(?:nedir|nerede|ne kadar|kac|nasil|var mi|misiniz|musunuz)\b"
)


def begin(function: Function, text: str, at: datetime, wording: Wording) -> Form:
    """A new form with all that the request itself says."""
    return Form(function.name, slots.fill(function, text, at, wording))


def advance(form: Form, function: Function, wording: Wording, lead: str = "") -> tuple[Form | None, Reply]:
    """Ask for what is missing; else read it all back, or run at once what changes nothing."""
    for slot in function.slots:
        if slot.is_required and slot.name not in form.values:
            question = question_for(slot, wording)
            asked = replace(form, asking=slot.name, stage="asking", question=question, is_read_back=False)
            return asked, Reply(f"{lead} {question}".strip())
    if function.is_read_only:
        return None, Reply(lead, _call(form, function))
    question = read_back(form, function, wording)
    asked = replace(form, asking=None, stage="confirming", question=question, is_read_back=False)
    return asked, Reply(f"{lead} {question}".strip())


def read_back(form: Form, function: Function, wording: Wording) -> str:
    """Every value, and the question whether it is right."""
    values = _listed(form, function, wording)
    return (
        wording.say("read_back", values=values)
        if values
        else wording.say("read_back_nothing", title=function.title)
    )


def _listed(form: Form, function: Function, wording: Wording) -> str:
    said = ", ".join(
        f"{_label(slot)}: {form.values[slot.name].spoken}"
        for slot in function.slots
        if slot.name in form.values
    )
    return wording.capital(said)


def _label(slot: Slot) -> str:
    return re.sub(r"^(?:customer|caller|guest|patient|client|user|full|is|has|wants) ", "", slot.label)


def question_for(slot: Slot, wording: Wording) -> str:
    """The question for a slot, with its choices where they are few."""
    question = wording.ask(slot)
    if slot.is_closed and 1 < len(slot.choices) <= 5:
        spoken = wording.listed([said for _, said in slot.choices])
        question = f"{question} {wording.say('choices', choices=spoken)}"
    return question


def _call(form: Form, function: Function) -> Call:
    return Call(
        function.name, {s.name: form.values[s.name].json for s in function.slots if s.name in form.values}
    )


async def turn(
    state: State, function: Function, text: str, at: datetime, wording: Wording, answering: Answering
) -> tuple[State, Reply]:
    """The caller's next words while a form is open."""
    form = state.form
    assert form is not None  # noqa: S101 - this is what the caller of this function checked
    folded = fold(text)
    known = form.values
    filled = slots.fill(
        function,
        text,
        at,
        wording,
        asked=form.asking if form.stage == "asking" else None,
        known=known,
        is_correcting=form.stage != "asking",
    )
    new = {
        name: value for name, value in filled.items() if name not in known or known[name].json != value.json
    }
    wanted = function.slot(form.asking) if form.asking else None
    takes_anything = wanted is not None and wanted.kind in ("text", "name")
    if intents.is_forgetting(text) and (not new or (takes_anything and set(new) == {form.asking})):
        return replace(state, form=None), Reply(wording.say("cancelled"))
    # "Could I come at four?" answers the question for the time; for a name, a question is a question.
    if _looks_like_a_question(folded, text) and (takes_anything or not new):
        told = await answering() or wording.say("dont_have").split(". ")[0] + "."
        return state, Reply(wording.say("answer_then_ask", answer=told, question=form.question))
    if form.stage == "asking":
        return _asked(state, form, function, folded, new, wording)
    return _confirmed(state, form, function, folded, new, wording)


def _asked(
    state: State, form: Form, function: Function, folded: str, new: Mapping[str, Value], wording: Wording
) -> tuple[State, Reply]:
    if not _CORRECTS.search(folded):
        # What was given before stands, unless the caller says that it does not.
        new = {name: value for name, value in new.items() if name not in form.values or name == form.asking}
    if new:
        filled, reply = _filled(form, function, new, wording)
        return replace(state, form=filled), reply
    return _missed(state, form, wording.say("not_understood", question=form.question), wording)


def _filled(
    form: Form, function: Function, new: Mapping[str, Value], wording: Wording
) -> tuple[Form | None, Reply]:
    return advance(replace(form, values={**form.values, **new}, failures=0), function, wording)


def _confirmed(  # noqa: PLR0911 - a list of answers
    state: State, form: Form, function: Function, folded: str, new: Mapping[str, Value], wording: Wording
) -> tuple[State, Reply]:
    if new:
        changed, reply = _filled(form, function, new, wording)
        return replace(state, form=changed), reply
    said_yes = wording.yes_or_no(folded)
    if said_yes and form.stage == "confirming":
        if not form.is_read_back:
            # They agreed to something that they have not heard yet.
            return state, Reply(form.question)
        return state, Reply(wording.say("one_moment"), _call(form, function))
    if (slot := _named_slot(function, form, folded)) is not None:
        values = {name: value for name, value in form.values.items() if name != slot.name}
        question = question_for(slot, wording)
        asked = replace(
            form, values=values, asking=slot.name, stage="asking", question=question, is_read_back=False
        )
        return replace(state, form=asked), Reply(question)
    if said_yes is False:
        if form.stage == "changing":
            return replace(state, form=None), Reply(wording.say("cancelled"))
        question = wording.say("what_to_change")
        return replace(state, form=replace(form, stage="changing", question=question)), Reply(question)
    if said_yes:
        reopened, reply = advance(form, function, wording)
        return replace(state, form=reopened), reply
    again = (
        wording.say("confirm_again", values=_listed(form, function, wording))
        if form.values
        else form.question
    )
    return _missed(state, replace(form, stage="confirming"), again, wording)


def _missed(state: State, form: Form, text: str, wording: Wording) -> tuple[State, Reply]:
    failures = form.failures + 1
    if failures >= _MOST_FAILURES:
        return replace(state, form=None), Reply(wording.say("given_up"))
    return replace(state, form=replace(form, failures=failures)), Reply(text)


def _named_slot(function: Function, form: Form, folded: str) -> Slot | None:
    heard = {stem(word) for word in words(folded)}
    kinds = {
        "date": {"date", "day", "tarih", "gun"},
        "time": {"time", "hour", "saat"},
        "name": {"name", "isim", "ad"},
        "phone": {"phone", "number", "telefon"},
        "email": {"email", "mail"},
        "datetime": {"date", "day", "time"},
    }
    for slot in function.slots:
        named = {stem(word) for word in words(slot.label)} | {stem(word) for word in kinds.get(slot.kind, ())}
        if slot.name in form.values and named & heard:
            return slot
    return None


def _looks_like_a_question(folded: str, text: str) -> bool:
    return bool(_ASKS.search(folded)) or (text.rstrip().endswith("?") and len(folded.split()) > 3)
