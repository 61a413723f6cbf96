"""Who talked in an agent's place, as lines of a transcript."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pipelines.contract.actions import GiveBack, TakeOver
from pipelines.contract.events import CallEvent, Steered


@dataclass(frozen=True)
class Note:
    """What happened between the words."""

    at: datetime
    text: str


def notes(events: Sequence[CallEvent]) -> list[Note]:
    """One line for each time that the call changed hands."""
    found: list[Note] = []
    who = ""
    for event in events:
        if not isinstance(event, Steered):
            continue
        match event.action:
            case TakeOver() as taken:
                who = taken.name or "Somebody"
                found.append(Note(event.at, f"{who} took the call over."))
            case GiveBack() as given if who:
                how = "left, and the agent has the call" if given.has_left else "gave the call back"
                found.append(Note(event.at, f"{who} {how}."))
                who = ""
    return found
