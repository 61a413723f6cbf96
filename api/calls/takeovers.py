"""Who talked in an agent's place, as lines of a transcript."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pipelines.contract.actions import GiveBack, TakeOver
from pipelines.contract.events import CallEnded, CallEvent, Steered

_TAKEN = {True: "took the call over", False: "joined the two who were put through"}


@dataclass(frozen=True)
class Note:
    """What happened between the words."""

    at: datetime
    text: str


def notes(events: Sequence[CallEvent]) -> list[Note]:
    """One line for each time that the call changed hands."""
    found: list[Note] = []
    who = ""
    has_agent = True
    for event in events:
        if isinstance(event, CallEnded):
            has_agent = has_agent and not event.is_bridged
        if not isinstance(event, Steered):
            continue
        match event.action:
            case TakeOver() as taken:
                who = taken.name or "Somebody"
                found.append(Note(event.at, f"{who} {_TAKEN[has_agent]}."))
            case GiveBack() as given if who:
                left = "left, and the agent has the call" if given.has_left else "gave the call back"
                found.append(Note(event.at, f"{who} {left if has_agent else 'left the call'}."))
                who = ""
    return found
