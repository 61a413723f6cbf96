"""Having calls dialled: each is ordered once, and what came of an order is found out whoever dies.

row ──► dialler written down ──Dial──► an exchange ──done──► it tells how the call goes (`phoning.told`)
           │                              └─ refused: not_dialled
           └─ no answer, or nobody left to hear it
                 └──Withdraw──► that exchange ─┬─ nobody was called, nor will be: not_dialled
                                               ├─ too late: it has the call, and tells how that ends
                                               └─ its journal is gone, or it for good: unsure
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from functools import partial

from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.calls import phoning
from api.calls.outcomes import NOT_DIALLED, UNSURE
from api.calls.table import RUNNING, CallRow
from api.db.columns import new_id, now
from api.db.engine import Database
from api.outside.phones import (
    NO_LINE,
    Dialler,
    NeverSent,
    Phones,
    PhonesUnavailable,
    Unanswered,
    Unsure,
)
from api.sip_trunks.table import SipTrunkRow
from api.stuck import service as stuck
from pipelines.contract.websocket import Dial

_LOG = logging.getLogger(__name__)

UNTOLD = timedelta(seconds=30)
"""Longer than a call may ring, nothing was told of it: whoever placed it is gone."""
SOON = timedelta(seconds=0.5)
"""Whoever wrote the row has it dialled itself, after its commit."""
TOO_LATE = timedelta(seconds=120)
"""What was to be dialled so long ago is not: whoever asked for it may not want it any more, and the hour may
not suit."""
ANSWERED_WITHIN = timedelta(seconds=9)
"""Whoever gave an order waits less for its answer."""
LINE_WITHIN = timedelta(seconds=15)
"""So long a call waits for an exchange that is being restarted, or for workers to find a restarted api."""
BACK_WITHIN = timedelta(seconds=120)
"""A worker that has not been back for so long will not tell any more what came of an order."""
MOST_AT_ONCE = 16
MOST_UNANSWERED = 64
LOST = "the order was lost on its way to the exchange"
PLACING, SETTLING, LOSING = stuck.Work("dialling"), stuck.Work("unanswered-order"), stuck.Work("untold-call")
_TICK_SECONDS = 1.0


async def watch(database: Database, phones: Phones) -> None:
    """Each second, have dialled who waits for it, and find out what became of the rest; for ever."""
    since = now()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_each_second(partial(place_waiting, database, phones, since)))
        # Of an exchange that is away answers come late: nobody waits for them who has a line.
        tasks.create_task(_each_second(partial(settle_unanswered, database, phones, since)))
        tasks.create_task(_each_second(partial(lose_untold, database, since)))


async def _each_second(work: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await work()
        except Exception:  # noqa: BLE001 - the next second tries again
            _LOG.exception("looking after calls to be dialled failed")
        await asyncio.sleep(_TICK_SECONDS)


# ── one call ─────────────────────────────────────────────────────────────────────────────────────
async def place(database: Database, phones: Phones, call_id: str) -> None:
    """Have a call dialled whose row is committed. One that cannot be is over; it is never tried twice, and
    `not_dialled` only where it is sure that nobody was called.
    """
    asked, why_not = None, NO_LINE
    if not (diallers := await phones.diallers()):
        return  # there was a line when it was asked for: `place_waiting` waits for one
    for dialler in diallers:
        if (order := await _set_out(database, call_id, asked, dialler)) is None:
            return
        asked = dialler
        try:
            await phones.dial(dialler, order)
        except NeverSent:
            continue
        except Unanswered:
            return  # `settle_unanswered`
        except PhonesUnavailable as error:
            why_not = str(error)
            break
        await _is_with(database, call_id, dialler)
        return
    await _give_up(database, call_id, asked, f"{NOT_DIALLED}: {why_not}")


async def _set_out(database: Database, call_id: str, before: Dialler | None, dialler: Dialler) -> Dial | None:
    """Write down who is ordered, before they are; None where somebody else has set out, or it is over."""
    async with database.transaction(is_durable=True) as session:
        call = await _still_asked(session, call_id, before)
        if call is None:
            return None
        call.dialled_at, call.dialler, call.dialler_journal = now(), dialler.name, dialler.journal
        session.add(call)
        trunk = await session.get(SipTrunkRow, call.sip_trunk_id)
        number = phoning.spelled(call.to_number or "", trunk)
        return _order_for(call, number, await phoning.apart(session, call))


async def _still_asked(session: AsyncSession, call_id: str, dialler: Dialler | None) -> CallRow | None:
    """The call, locked, while it is this one's to dial (None: nobody's yet) and nothing was heard of it."""
    call = await session.get(CallRow, call_id, with_for_update=True)
    name = None if dialler is None else dialler.name
    if call is None or call.is_over or call.worker_id is not None or call.dialler != name:
        return None
    return call


async def _is_with(database: Database, call_id: str, dialler: Dialler) -> None:
    """Whoever was ordered has the call, and tells how it goes."""
    async with database.transaction() as session:
        if (call := await _still_asked(session, call_id, dialler)) is not None:
            call.worker_id = dialler.name
            session.add(call)


async def _give_up(database: Database, call_id: str, dialler: Dialler | None, reason: str) -> None:
    # Of one that has a worker the exchange has told meanwhile: it goes on, or is over as it was told.
    async with database.transaction() as session:
        if await _still_asked(session, call_id, dialler) is not None:
            await phoning.over(session, call_id, "failed", reason)


def _order_for(call: CallRow, number: str, apart: str) -> Dial:
    """What an exchange is told of a call that it shall make."""
    return Dial(
        order_id=new_id("dial"),
        call_id=call.id,
        trunk_id=call.sip_trunk_id or "",
        to_number=number,
        from_number=call.from_number or "",
        ring_seconds=call.ring_seconds or phoning.RING_SECONDS,
        apart=apart,
        headers=call.headers or {},
    )


# ── those that nobody looks after ────────────────────────────────────────────────────────────────
async def place_waiting(database: Database, phones: Phones, since: datetime) -> None:
    """Have those dialled that nobody has set out to dial: of schedules, and of a process that died.

    `since`: from when on workers can have been here.
    """
    waiting = await _pending(database, PLACING, are_ordered=False)
    has_line, at = bool(await phones.diallers()) if waiting else False, now()

    async def work(call: CallRow) -> None:
        if call.created_at < at - TOO_LATE:
            await _give_up(database, call.id, None, f"{NOT_DIALLED}: nobody could dial it in time")
        elif has_line:
            await place(database, phones, call.id)
        elif max(since, call.created_at) < at - LINE_WITHIN:
            await _give_up(database, call.id, None, f"{NOT_DIALLED}: {NO_LINE}")

    await _beside(database, PLACING, waiting, work)


async def settle_unanswered(database: Database, phones: Phones, since: datetime) -> None:
    """Find out what came of orders without an answer: none came, or whoever waited for it died.

    `since`: from when on whoever could tell can have been back.
    """
    unanswered = await _pending(database, SETTLING, are_ordered=True)
    await _beside(database, SETTLING, unanswered, partial(_settle, database, phones, since))


async def _pending(database: Database, work: stuck.Work, *, are_ordered: bool) -> Sequence[CallRow]:
    """Calls of which nothing was heard, the oldest first."""
    since = col(CallRow.dialled_at if are_ordered else CallRow.created_at)
    async with database.transaction(writes=False) as session:
        found = await session.exec(
            select(CallRow)
            .where(
                CallRow.call_type == "phone_call",
                CallRow.direction == "outbound",
                CallRow.status == "pending",
                col(CallRow.worker_id).is_(None),
                col(CallRow.dialled_at).is_not(None) if are_ordered else col(CallRow.dialled_at).is_(None),
                since < now() - (ANSWERED_WITHIN if are_ordered else SOON),
                stuck.is_due(work, CallRow.id),
            )
            .order_by(since)
            .limit(MOST_UNANSWERED if are_ordered else MOST_AT_ONCE)
        )
        return found.all()


async def _beside(
    database: Database, work: stuck.Work, calls: Sequence[CallRow], do: Callable[[CallRow], Awaitable[None]]
) -> None:
    """All at once, since each waits for somebody else; what fails is tried again by itself, with pauses."""

    async def one(call: CallRow) -> None:
        await stuck.each(database, work, [(call.id, call.owner_id)], lambda _: do(call))

    await asyncio.gather(*map(one, calls))


async def _settle(database: Database, phones: Phones, since: datetime, call: CallRow) -> None:
    dialler = Dialler(call.dialler or "", call.dialler_journal)
    try:
        if not await phones.withdraw(dialler, call.id):
            await _is_with(database, call.id, dialler)
            return
        reason = f"{NOT_DIALLED}: {LOST}"
    except Unanswered:
        if now() - max(since, call.dialled_at or since) < BACK_WITHIN:
            return
        reason = f"{UNSURE}: whoever was to call them did not come back"
    except Unsure as error:
        reason = f"{UNSURE}: {error}"
    await _give_up(database, call.id, dialler, reason)


async def lose_untold(database: Database, since: datetime) -> None:
    """Conclude calls that should have rung long ago: whoever placed them is gone.

    `since`: from when on an exchange can have told of them.
    """
    shortest = timedelta(seconds=phoning.LEAST_RING_SECONDS) + UNTOLD
    begun = func.coalesce(CallRow.dialled_at, CallRow.created_at)
    async with database.transaction(writes=False) as session:
        found = await session.exec(
            select(CallRow.id, CallRow.owner_id, begun, CallRow.ring_seconds).where(
                CallRow.call_type == "phone_call",
                col(CallRow.status).in_(RUNNING),
                CallRow.attempt == 0,
                col(CallRow.worker_id).is_not(None),
                begun < now() - shortest,
                stuck.is_due(LOSING, CallRow.id),
            )
        )
        late = [
            (call_id, owner_id)
            for call_id, owner_id, at, ring_seconds in found.all()
            if max(since, at + timedelta(seconds=ring_seconds or phoning.RING_SECONDS)) < now() - UNTOLD
        ]
    await stuck.each(database, LOSING, late, partial(_lose, database))


async def _lose(database: Database, call_id: str) -> None:
    async with database.transaction() as session:
        call = await session.get(CallRow, call_id, with_for_update=True)
        if call is None or call.attempt:
            return
        is_unsure = call.direction == "outbound" and not phoning.has_rung(call)
        cause = UNSURE if is_unsure else "error"
        await phoning.over(session, call_id, "failed", f"{cause}: nothing was heard of the call any more")
