"""A caller who wants to be put through: to whom they mean, and to whom they can be."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from kb.words import fold, words
from pipelines.local.scripted import forms
from pipelines.local.scripted.choices import likeness
from pipelines.local.scripted.functions import Function
from pipelines.local.scripted.history import Heard
from pipelines.local.scripted.slots import Value
from pipelines.local.scripted.state import Call, Form, Reply, State
from pipelines.local.scripted.wording import Wording

_BY_NAME = re.compile(r"transfer|human|operator|escalat|hand_?(?:off|over)", re.IGNORECASE)
_AGENTS = re.compile(r"hand_?(?:off|over)", re.IGNORECASE)
_CALL_BACK = re.compile(r"call_?back|ring_?back", re.IGNORECASE)
_SURE = 86.0
_MOST_NAMED = 5

_THROUGH = re.compile(
    r"\b(?:put|patch|pass|transfer|connect|forward|switch|send) (?:me|us|my call|the call|this call)\b"
    r"(?!.{0,12}\b(?:wi-?fi|internet|network|money)\b)|"
    r"\b(?:be|get) (?:put through|transferred|connected) to\b|"
    r"\b(?:beni|bizi|cagrimi|aramami)\b.{0,40}\b(?:bagla|aktar|yonlendir)\w*|"
    r"\b(?:baglar|aktarir|yonlendirir) mi\w*|\bbaglayin\b|\baktarin\b|\bbaglanmak ist\w*"
)
_TALK_TO = re.compile(r"\b(?:speak|talk|chat) (?:to|with)\b|\b(?:gorus|konus)\w*")
_WANTS_ONE = re.compile(
    r"\b(?:get me|give me|i want|i need) (?:a |the |to see the )?(?:real |live )?"
    r"(?:human|person|manager|operator)\b"
)
_TO_WHOM = re.compile(r"\b(?:through|me|us|call|transferred|connected) (?:over )?to (?P<whom>.+)$")
_SOMEBODY = re.compile(
    r"\b(?:humans?|persons?|people|someone|somebody|anyone|anybody|agent|operator|representative|advis[oe]r|"
    r"staff|colleague|employee|assistant|team|insan\w*|yetkili\w*|temsilci\w*|gorevli\w*|calisan\w*|"
    r"biri(?:yle|siyle|ne|sine)|musteri hizmetleri\w*)\b"
)
_THEIR_BUSINESS = re.compile(
    r"\b(?:manager|supervisor|boss|owner|doctor|dentist|nurse|vet|lawyer|receptionist|secretary|accountant|"
    r"(?:front )?desk|reception|office|department|support|sales|billing|accounting|customer service|service|"
    r"mudur\w*|doktor\w*|hemsire\w*|sekreter\w*|resepsiyon\w*|danisma\w*|muhasebe\w*|satis\w*|servis\w*)\b"
)
_NOT_A_WISH = re.compile(r"\b(?:am i|was i|i was|i am|i'm) (?:talking|speaking)\b|\bdo you (?:speak|talk)\b")
_MOST_WORDS = 25


@dataclass(frozen=True, slots=True)
class Target:
    """Somebody a function can hand the caller to."""

    function: str
    slot: str
    value: Any
    is_agent: bool
    """Another agent is no person."""


@dataclass(frozen=True, slots=True)
class Wish:
    """To be put through. `named` is whom the caller named, of those that there are."""

    named: Target | None = None
    is_anybody: bool = False
    """Any person will do."""


def is_transfer(function: str) -> bool:
    """Whether a function of this name hands the caller on."""
    return bool(_BY_NAME.search(function))


def targets(functions: Sequence[Function]) -> list[Target]:
    """Everybody that the caller can be handed to, by functions that only ask to whom."""
    found = []
    for function in functions:
        wanted = [slot for slot in function.slots if slot.is_required]
        if is_transfer(function.name) and len(wanted) == 1 and wanted[0].is_closed:
            is_agent = bool(_AGENTS.search(function.name))
            found += [
                Target(function.name, wanted[0].name, value, is_agent) for value, _ in wanted[0].choices
            ]
    return found


def wish(state: State, text: str, functions: Sequence[Function], *, is_sure: bool) -> Wish | None:
    """Whether the caller wants to be put through; `is_sure` where that is known already.

    Where they were asked to whom, a name alone says so.
    """
    there = targets(functions)
    folded = " ".join(fold(text).split())
    named = _named(folded, there)
    if named is not None and state.form is not None and state.form.function == named.function:
        is_no = state.form.stage == "confirming" and state.form.values[named.slot].json == named.value
        return None if is_no else Wish(named)
    if _NOT_A_WISH.search(folded) or len(folded.split()) > _MOST_WORDS:
        return Wish(named, is_anybody=named is None) if is_sure else None
    if not (is_sure or _THROUGH.search(folded) or (there and _talks_to(folded, named))):
        return None
    meant = named is None and (is_sure or bool(_SOMEBODY.search(folded)) or not _is_somebody_else(folded))
    return Wish(named, meant)


def turn(
    state: State, wish: Wish | None, heard: Heard, functions: Sequence[Function], wording: Wording
) -> tuple[State, Reply] | None:
    """Put the caller through, or ask to whom; None where this turn is about something else.

    Nobody is asked whether they are sure: they have just said so, and the way back is a word.
    """
    if wish is None:
        return _declined(state, heard.text, wording)
    there = targets(functions)
    people = [one for one in there if not one.is_agent]
    target = wish.named or (people[0] if wish.is_anybody and len(people) == 1 else None)
    if target is not None:
        text = wording.say("putting_through", target=target.value)
        return _said(state, None, Reply(text, Call(target.function, {target.slot: target.value})))
    if (asks_nothing := _without_arguments(functions)) is not None:
        return _said(state, None, Reply(wording.say("one_moment"), Call(asks_nothing.name, {})))
    if offered := people or there:
        return _offer(state, offered, wording)
    if state.form is None and (calls_back := _calling_back(functions)) is not None:
        form = forms.begin(calls_back, heard.text, heard.at, wording)
        return _said(state, *forms.advance(form, calls_back, wording, wording.say("human_callback")))
    return None


def _offer(state: State, there: Sequence[Target], wording: Wording) -> tuple[State, Reply]:
    first = there[0]
    if len(there) > 1:
        names = wording.listed([str(one.value) for one in there[:_MOST_NAMED]])
        question = wording.say("put_through_to_whom", targets=names)
        return _said(state, Form(first.function, asking=first.slot, question=question), Reply(question))
    question = wording.say("put_through_only", target=first.value)
    values = {first.slot: Value(first.value, str(first.value))}
    form = Form(first.function, values, stage="confirming", question=question)
    return _said(state, form, Reply(question))


def _declined(state: State, text: str, wording: Wording) -> tuple[State, Reply] | None:
    form = state.form
    if form is None or not is_transfer(form.function) or wording.yes_or_no(fold(text)) is not False:
        return None
    return _said(state, None, Reply(wording.say("cancelled")))


def _said(state: State, form: Form | None, reply: Reply) -> tuple[State, Reply]:
    return replace(state, form=form, last_reply=reply.text), reply


def _without_arguments(functions: Sequence[Function]) -> Function | None:
    return next(
        (one for one in functions if is_transfer(one.name) and not any(s.is_required for s in one.slots)),
        None,
    )


def _calling_back(functions: Sequence[Function]) -> Function | None:
    return next((one for one in functions if _CALL_BACK.search(one.name)), None)


def _talks_to(folded: str, named: Target | None) -> bool:
    if _WANTS_ONE.search(folded):
        return True
    if _TALK_TO.search(folded) is None:  # "I need an appointment with the doctor"
        return False
    return named is not None or bool(_SOMEBODY.search(folded) or _THEIR_BUSINESS.search(folded))


def _is_somebody_else(folded: str) -> bool:
    """Whether somebody is named who is not among those there are: "put me through to Mrs Miller"."""
    if _THEIR_BUSINESS.search(folded):
        return True
    to = _TO_WHOM.search(folded)
    return to is not None and not set(words(to["whom"])) <= {"please", "them", "it", "that", "now"}


def _named(folded: str, there: Sequence[Target]) -> Target | None:
    best: tuple[float, Target] | None = None
    for target in there:
        name = " ".join(fold(str(target.value)).split())
        score = 100.0 if _all_begin(name, folded) else likeness(name, folded)[0]
        if score >= _SURE and (best is None or score > best[0]):
            best = score, target
    return best[1] if best else None


def _all_begin(name: str, folded: str) -> bool:
    """Whether each word of a name begins one of the words: Turkish says to whom at the end of a word."""
    spoken = words(folded)
    parts = words(name)
    return bool(parts) and all(
        any(word == part or (len(part) > 2 and word.startswith(part)) for word in spoken) for part in parts
    )
