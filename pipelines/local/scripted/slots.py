"""What an utterance says about a form's slots, by each slot's type, name and description."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from types import MappingProxyType
from typing import Any

from kb.words import EMPTY, fold, stem, words
from pipelines.local.scripted import times
from pipelines.local.scripted.choices import likeness
from pipelines.local.scripted.functions import Function, Slot
from pipelines.local.scripted.lexicon import concepts
from pipelines.local.scripted.numbers import in_digits
from pipelines.local.scripted.persons import find_code, find_email, find_name, find_phone
from pipelines.local.scripted.wording import Wording

_LEADING = re.compile(
    r"^(?:(?:um+|uh+|er+|well|so|okay|ok|yes|yeah|yep|sure|no|please|it's|it is|it would be|that's|"
    r"that is|that would be|"
    r"this is|my|i'd like|i would like|i want|i need|i'll take|make it|make that|let's say|"
    r"let's do|say|maybe|"
    r"i think|just|for|about|because|to|is|evet|hayir|tabii|lutfen|icin)\b[, ]*)+",
    re.IGNORECASE,
)
# "A cleaning" is a cleaning; "The Old Man and the Sea" is called so.
_ARTICLE = re.compile(r"^(?:the|an?) (?=[a-zçğıöşü])")
_TRAILING = re.compile(r"[\s,.!?]+(?:please|thanks|thank you|lutfen|tesekkurler)?[\s.!?]*$", re.IGNORECASE)
_SKIPPED = re.compile(
    r"^(?:no|none|nothing|nope|not really|no thanks|no thank you|skip|yok|hayir)\b[\s.!,]*$"
)


@dataclass(frozen=True, slots=True)
class Value:
    """What goes into a function's argument, and how it is said back."""

    json: Any
    spoken: str
    names_a_thing: bool = False
    """True for what is chosen or named freely; "how much is that?" may mean it."""


def fill(
    function: Function,
    text: str,
    said_at: datetime,
    wording: Wording,
    *,
    asked: str | None = None,
    known: Mapping[str, Value] = MappingProxyType({}),
    is_correcting: bool = False,
) -> dict[str, Value]:
    """The slots that an utterance fills. `asked` is the slot just asked for; `known` are filled already.

    Nothing is guessed: a free text is taken only for the slot that was asked for, or from its own place
    in a request ("reserve *the blue kayak* for Friday").
    `is_correcting`: everything was filled in and read back.
    """
    folded = fold(text)
    digits = in_digits(folded, wording.language)
    found: dict[str, Value] = {}
    wanted = function.slot(asked) if asked else None
    order = sorted(function.slots, key=lambda slot: slot.name != asked)

    if any(slot.kind == "email" for slot in order) and (email := find_email(text)):
        _put(found, order, "email", Value(email.value, email.spoken))
        folded = folded.replace(fold(email.matched), " ")
        digits = in_digits(folded, wording.language)
    if any(slot.kind == "phone" for slot in order):
        is_asked = wanted is not None and wanted.kind == "phone"
        if phone := find_phone(digits, is_asked=is_asked):
            _put(found, order, "phone", Value(phone.value, phone.spoken))
            digits = digits.replace(phone.matched, " ")
    # "No, four": a number alone corrects the time, where nothing else is a number.
    is_hour_meant = is_correcting and not any(slot.kind in ("number", "code") for slot in order)
    for slot in order:
        if slot.kind == "code" and (code := find_code(digits, is_asked=slot is wanted, named=slot.label)):
            found[slot.name] = Value(code.value, code.spoken)
            digits = digits.replace(code.matched, " ")
    near = _day_known(function, known)
    digits = _fill_when(found, order, digits, said_at, wording, wanted, near, is_hour_meant=is_hour_meant)
    rest = _fill_choices(found, order, folded, wanted, wording.language)
    _fill_numbers(found, order, digits, wanted)
    _fill_name(found, order, text, wanted)
    for slot in order:
        if slot.kind == "boolean" and slot.name not in found:
            value = _boolean(slot, folded, wanted, wording)
            if value is not None:
                found[slot.name] = Value(value, wording.yes if value else wording.no)
    if wanted and wanted.kind in ("text", "choice") and wanted.name not in found and not wanted.is_closed:
        free = _TRAILING.sub("", _ARTICLE.sub("", _LEADING.sub("", text.strip())))
        if free and not (_SKIPPED.match(folded) and wanted.is_required):
            found[wanted.name] = Value(free, free, names_a_thing=True)
    elif asked is None:
        _fill_object(found, function, rest, said_at, wording, frozenset(known))
    return {name: _shaped(function, name, value) for name, value in found.items()}


def _day_known(function: Function, known: Mapping[str, Value]) -> date | None:
    """The day that is filled in already: "no, on Wednesday" means the Wednesday of its week."""
    for slot in function.slots:
        if slot.kind in ("date", "datetime") and slot.name in known:
            return datetime.fromisoformat(str(known[slot.name].json)).date()
    return None


def _shaped(function: Function, name: str, value: Value) -> Value:
    slot = function.slot(name)
    return (
        replace(value, json=[value.json])
        if slot and slot.is_list and not isinstance(value.json, list)
        else value
    )


def _put(found: dict[str, Value], slots: list[Slot], kind: str, value: Value) -> None:
    for slot in slots:
        if slot.kind == kind and slot.name not in found:
            found[slot.name] = value
            return


def _fill_when(
    found: dict[str, Value],
    slots: list[Slot],
    digits: str,
    said_at: datetime,
    wording: Wording,
    wanted: Slot | None,
    near: date | None,
    *,
    is_hour_meant: bool,
) -> str:
    """Dates and times in the order they are said, into the slots in the order they are declared."""
    is_time_asked = (wanted is not None and wanted.kind in ("time", "datetime")) or is_hour_meant
    dated = [slot for slot in slots if slot.kind in ("date", "datetime")]
    timed = [slot for slot in slots if slot.kind == "time"]
    if not dated and not timed:
        return digits
    for _ in range(max(len(dated), len(timed))):
        when = times.find(digits, said_at, wording.language, bare_hour=is_time_asked, near=near)
        if when.day is None and when.at is None:
            break
        digits = when.rest
        for slot in dated:
            if slot.name in found:
                continue
            if slot.kind == "datetime" and when.day and when.at:
                value = datetime.combine(when.day, when.at)
                said = f"{wording.day(when.day, said_at.date())} {wording.at} {wording.time(when.at)}"
                found[slot.name] = Value(value.isoformat(timespec="minutes"), said)
                break
            if slot.kind == "date" and when.day:
                found[slot.name] = Value(when.day.isoformat(), wording.day(when.day, said_at.date()))
                break
        if when.at:
            _put(found, timed, "time", Value(when.at.strftime("%H:%M"), wording.time(when.at)))
    return digits


def _fill_choices(
    found: dict[str, Value], slots: list[Slot], folded: str, wanted: Slot | None, language: str
) -> str:
    """Values out of a closed or written list; the best one that was really said. Returns what is left."""
    rest = folded
    for slot in slots:
        if not slot.choices or slot.kind not in ("choice", "text"):
            continue
        best, best_score, matched = None, 0.0, ""
        for value, said in slot.choices:
            score, span = likeness(fold(said), folded)
            if score > best_score:
                best, best_score, matched = Value(value, said, names_a_thing=True), score, span
        is_asked = wanted is not None and wanted.name == slot.name
        if best and best_score >= (72 if is_asked else 86):
            found[slot.name] = best
            rest = rest.replace(matched, " ") if matched else rest
    return rest


_COUNTED = re.compile(
    r"\b(\d+(?:[.,]\d+)?)\b(?!\s*(?:st|nd|rd|th)\b)(?:\s+(?:more |other |of (?:the |us )?)?([a-z]+))?"
)


def _fill_numbers(found: dict[str, Value], slots: list[Slot], digits: str, wanted: Slot | None) -> None:
    numeric = [slot for slot in slots if slot.kind == "number" and slot.name not in found]
    counted = [(match.group(1), match.group(2) or "") for match in _COUNTED.finditer(digits)]
    if re.search(r"\b(?:a|one) (?:couple)\b", digits):
        counted.append(("2", ""))
    for slot in numeric:
        about = {stem(word) for word in words(f"{slot.label} {slot.asked_for}")} - {"number", "many"}
        meant = frozenset[int]().union(*(concepts(each) for each in about)) if about else frozenset()
        chosen = None
        for value, unit in counted:
            unit_stem = stem(unit) if unit else ""
            if unit_stem and (
                unit_stem in about or concepts(unit_stem) & meant or _counts_people(about, unit)
            ):
                chosen = value
                break
        if chosen is None and wanted is slot and counted:
            chosen = counted[0][0]
        if chosen is None and len(numeric) == 1 and len(counted) == 1:
            chosen = counted[0][0]
        if (
            chosen is None
            and wanted is slot
            and re.search(r"\b(?:just me|only me|myself|a|an|single|sadece ben)\b", digits)
        ):
            chosen = "1"
        if chosen is not None and (value := _number(slot, chosen)) is not None:
            found[slot.name] = Value(value, chosen)
            counted = [pair for pair in counted if pair[0] != chosen]


def _counts_people(about: set[str], unit: str) -> bool:
    people = {
        stem(word) for word in ("people", "persons", "guests", "adults", "of", "us", "party", "seats", "kisi")
    }
    return bool(about & people) and (stem(unit) in people or unit in ("of", "for", "on", "at", "tomorrow"))


def _number(slot: Slot, text: str) -> float | int | None:
    value = float(text.replace(",", "."))
    if (slot.minimum is not None and value < slot.minimum) or (
        slot.maximum is not None and value > slot.maximum
    ):
        return None
    return int(value) if slot.is_integer or value.is_integer() else value


def _fill_name(found: dict[str, Value], slots: list[Slot], text: str, wanted: Slot | None) -> None:
    for slot in slots:
        if slot.kind == "name" and slot.name not in found:
            if name := find_name(text, is_asked=wanted is not None and wanted.name == slot.name):
                found[slot.name] = Value(name, name)
            return


def _boolean(slot: Slot, folded: str, wanted: Slot | None, wording: Wording) -> bool | None:
    if wanted is not None and wanted.name == slot.name:
        return wording.yes_or_no(folded)
    named = [
        word for word in words(slot.label) if word not in EMPTY and word not in ("include", "wants", "with")
    ]
    if named and all(re.search(rf"\b{re.escape(stem(word))}", folded) for word in named):
        return not re.search(
            rf"\b(?:no|without|not|don't want)\b[^,.]*\b{re.escape(stem(named[-1]))}", folded
        )
    return None


_REQUEST_OBJECT = re.compile(
    r"\b(?:book|reserve|order|hold|borrow|rent|hire|request|buy|extend|renew|cancel|return|get|have|find|"
    r"check|report|"
    r"track|for|about|called|titled|like|want|need)\b\s+(?:me |us |my |the |a |an |some |another |one |"
    r"for |called |book )*"
    r"(?P<object>[a-z0-9'&][\w'& -]*?)"
    r"(?=\s+(?:for|on|at|from|tomorrow|today|this|next|in|under|please|with|until|my|to|and|by)\b|[,.?!]|$)"
)


def _fill_object(
    found: dict[str, Value],
    function: Function,
    rest: str,
    said_at: datetime,
    wording: Wording,
    known: frozenset[str],
) -> None:
    """The thing a request is for, where the function has just one free text to put it into."""
    free = [
        slot
        for slot in function.slots
        if slot.kind == "text" and slot.is_required and slot.name not in found and slot.name not in known
    ]
    if not free:
        return
    slot = free[0]
    if not re.search(
        r"service|title|item|treatment|type|product|subject|topic|which|book|model|kind|what",
        f"{slot.name} {slot.description}",
        re.IGNORECASE,
    ):
        return
    # What the function's own text says ("put a book on hold") is what it does, not what it is done to.
    named = {
        *function.objects,
        function.verb,
        *(stem(word) for word in words(f"{function.title} {function.purpose}") if word not in EMPTY),
    }
    meant = frozenset[int]().union(*(concepts(each) for each in named)) if named else frozenset()
    for match in reversed(list(_REQUEST_OBJECT.finditer(rest))):
        said = match.group("object").strip()
        kept = [word for word in words(said) if word not in EMPTY]
        is_form = all(stem(word) in named or concepts(stem(word)) & meant for word in kept)
        when = times.find(in_digits(said, wording.language), said_at, wording.language)
        if (
            kept
            and not is_form
            and len(kept) <= 6
            and when.day is None
            and when.at is None
            and not said[0].isdigit()
            and not said.startswith("to ")  # what they want to do is no thing
        ):
            found[slot.name] = Value(said, said, names_a_thing=True)
            return
