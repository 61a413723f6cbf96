"""Which of a worker's events belong to their calls: all but those of processes that others have replaced.

    attempt 1  ██ words ██┬ presumed dead ─ words ─┬──────── words ────────┬─ 15 s ─┐
                          │                        │ another is sent       │        │
    attempt 2             └ waits ─────────────────┴──────────── briefed ──┴ talks ─┼──
    taken                 all                       words, no end of the call       │ none

What happens while nobody was sent yet shows that the process lives: then nobody follows it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlmodel.ext.asyncio.session import AsyncSession

from api.calls import attempts
from api.calls.table import CallRow
from pipelines.contract.events import CallEnded, CallEvent, CallLost


@dataclass
class Sorted:
    """A batch. `refused` and `replaced` are as in `BatchReceipt`."""

    welcome: list[CallEvent] = field(default_factory=list)
    refused: dict[str, int] = field(default_factory=dict)
    replaced: dict[str, int] = field(default_factory=dict)
    _by: dict[tuple[str, int], attempts.Replaced] = field(default_factory=dict)

    def is_put_out(self, event: CallEvent) -> bool:
        """Whether it is the end of an attempt that was put out of its call, which goes on without it."""
        by = self._by.get((event.call_id, event.attempt))
        return isinstance(event, CallEnded) and by is not None and not by.has_the_line(event.at)


async def sort(session: AsyncSession, events: Sequence[CallEvent], calls: Mapping[str, CallRow]) -> Sorted:
    """Sort a batch. The rows of its `calls` must be locked."""
    is_old = any(call.attempt > 1 for call in calls.values())
    by = await attempts.replaced(session, sorted(calls)) if is_old else {}
    told = Sorted(_by=by)
    for event in events:
        call, key = calls.get(event.call_id), (event.call_id, event.attempt)
        if call is not None and key in by and await _lives(session, call, event, by[key]):
            del by[key]
        if call is None or (key in by and not _is_in_time(call, event, by[key])):
            _raise(told.refused, event)
            continue
        told.welcome.append(event)
        if key in by and by[key].followed_at is not None and not isinstance(event, CallLost):
            _raise(told.replaced, event)
    return told


async def _lives(session: AsyncSession, call: CallRow, event: CallEvent, by: attempts.Replaced) -> bool:
    """Whether it lived on after it was presumed to be dead, or to its orderly end."""
    if isinstance(event, CallEnded) or (event.at > by.at and not isinstance(event, CallLost)):
        return await attempts.withdraw(session, call, event.attempt)
    return False


def _is_in_time(call: CallRow, event: CallEvent, by: attempts.Replaced) -> bool:
    """A worker that was cut off for a while still has what was said; its supervisor's word that the process
    is dead, whenever it comes, is no news and no harm.
    """
    return isinstance(event, CallLost) or by.is_in_time(call, event.at)


def _raise(told: dict[str, int], event: CallEvent) -> None:
    told[event.call_id] = max(event.attempt, told.get(event.call_id, 0))
