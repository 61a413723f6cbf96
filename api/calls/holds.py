"""When a call was on hold, and by whom: read from what its worker told."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from api.http.wire import Wire
from pipelines.contract.actions import Hold, HoldSound
from pipelines.contract.events import CallEvent, Steered


class CallHold(Wire):
    """The call was on hold. `ended_at` is null while it is, and where it ended with the call."""

    by: Literal["order", "agent", "caller"]
    sound: HoldSound | None
    """What the caller heard; null where the caller's own telephone held."""
    began_at: datetime
    ended_at: datetime | None = None
    ended_by: Literal["order", "agent", "caller", "limit"] | None = None


def holds(events: Sequence[CallEvent]) -> list[CallHold]:
    """In the order in which they began. Our side's and the caller's own may overlap."""
    found: list[CallHold] = []
    under_way: dict[bool, CallHold] = {}
    for event in events:
        if not isinstance(event, Steered) or not isinstance(action := event.action, Hold):
            continue
        is_callers = action.by == "caller"
        if action.is_on and is_callers not in under_way and action.by != "limit":
            sound = None if is_callers else action.sound
            under_way[is_callers] = CallHold(by=action.by, sound=sound, began_at=event.at)
            found.append(under_way[is_callers])
        elif not action.is_on and (ended := under_way.pop(is_callers, None)) is not None:
            ended.ended_at, ended.ended_by = event.at, action.by
    return found
