"""What happens after a call, exactly once: `settle-<call_id>`.

Each step may run more than once (the process may die between a step's commit and DBOS noting it), so
each has an effect with a key of its own: a usage row for a call, a room that is gone, a moment written once.
"""

import logging
from datetime import timedelta

from dbos import DBOS
from sqlmodel import col, delete, select

from api.calls import analysis, billing, costs, settlement
from api.calls.table import RUNNING, CallAnalysisRow, CallRow
from api.db.columns import now
from api.durable import engine
from api.outside.rooms import RoomsUnavailable
from api.payments import recharge

_LOG = logging.getLogger(__name__)

LAST_WORD_SECONDS = 30
"""A call whose end was only presumed is settled after this: its worker may still deliver what was said."""

OVERDUE_SECONDS = 300
"""A call that ended this long ago and is not settled has a settlement that stands still."""

UNUSED_GRACE_SECONDS = 60

UPLOAD_SECONDS = 3600.0
"""No upload goes on without a byte for this long."""


@DBOS.workflow(name="settle")
async def settle(call_id: str) -> None:
    """Turn a call that ended into figures and text, close its room, and find out what it was about."""
    with engine.at_work():
        await close_room(call_id)
        await write_usage(call_id)
        await charge(call_id)
        await mark_settled(call_id)
        await analyse(call_id)
    _LOG.info("call settled", extra={"call_id": call_id})


@DBOS.step(name="settle.close_room")
async def close_room(call_id: str) -> None:
    """Delete the call's room; one that cannot be reached empties by itself."""
    reach = engine.reach()
    async with reach.database.transaction(writes=False) as session:
        found = await session.exec(select(CallRow.room_name).where(CallRow.id == call_id))
        room_name = found.one_or_none()
    if room_name:
        try:
            await reach.rooms.delete_room(room_name)
        except RoomsUnavailable:
            _LOG.warning("room not deleted", extra={"call_id": call_id})


@DBOS.step(name="settle.write_usage", retries_allowed=True, max_attempts=5)
async def write_usage(call_id: str) -> None:
    """Write the call's one usage row."""
    async with engine.reach().database.transaction() as session:
        await settlement.write_usage(session, call_id)


@DBOS.step(name="settle.charge", retries_allowed=True, max_attempts=5)
async def charge(call_id: str) -> None:
    """Charge the call to whoever pays for it, and let go of what it held."""
    reach = engine.reach()
    async with reach.database.transaction(is_durable=True) as session:
        owner_id = await billing.charge(session, call_id, costs.load(reach.prices))
    if owner_id:
        await recharge.consider(reach.database, owner_id)


@DBOS.step(name="settle.mark_settled", retries_allowed=True, max_attempts=5)
async def mark_settled(call_id: str) -> None:
    """Write the text onto the call and mark it."""
    async with engine.reach().database.transaction() as session:
        await settlement.mark_settled(session, call_id)


@DBOS.step(name="settle.analyse", retries_allowed=True, max_attempts=5)
async def analyse(call_id: str) -> None:
    """Write what the call was about. A model that fails is asked once more, then the rules say it."""
    reach = engine.reach()
    await analysis.analyse(reach.database, reach.language_model, call_id)


@DBOS.workflow(name="analyse")
async def analyse_again(call_id: str, _generation: int) -> None:
    """The same for somebody who asked for it anew."""
    with engine.at_work():
        await analyse(call_id)


async def start_analysis(call_id: str, generation: int) -> None:
    """Analyse a call anew. Safe to ask for twice; never raises, since the sweeper asks again."""
    try:
        await engine.start(f"analyse-{call_id}-{generation}", analyse_again, call_id, generation)
    except Exception as error:  # noqa: BLE001 - the wish is committed; the sweeper starts what this did not
        _LOG.warning("analysis not started", extra={"call_id": call_id, "error": type(error).__name__})


async def start_settlement(call_id: str) -> None:
    """Settle a call that ended. Safe to ask for twice; never raises, since the sweeper asks again."""
    try:
        await engine.start(f"settle-{call_id}", settle, call_id)
    except Exception as error:  # noqa: BLE001 - the events are committed; the sweeper starts what this did not
        _LOG.warning("settlement not started", extra={"call_id": call_id, "error": type(error).__name__})


async def sweep_unsettled() -> None:
    """Start the settlement of each call that ended and has none; again, where one stands still."""
    reach = engine.reach()
    moment = now()
    async with reach.database.transaction(writes=False) as session:
        found = await session.exec(
            select(CallRow.id, CallRow.ended_at, CallRow.is_presumed)
            .where(
                col(CallRow.settled_at).is_(None),
                col(CallRow.ended_at).is_not(None),
                col(CallRow.status).not_in(RUNNING),
            )
            .order_by(col(CallRow.ended_at))
            .limit(1000)
        )
        unsettled = found.all()
    for call_id, ended_at, is_presumed in unsettled:
        age = moment - (ended_at or moment)
        if is_presumed and age < timedelta(seconds=LAST_WORD_SECONDS):
            continue
        if age > timedelta(seconds=OVERDUE_SECONDS):
            await engine.start_again(f"settle-{call_id}", settle, call_id)
        else:
            await start_settlement(call_id)


async def sweep_unanalysed() -> None:
    """Analyse what somebody asked to have analysed anew and no workflow took up."""
    async with engine.reach().database.transaction(writes=False) as session:
        found = await session.exec(
            select(CallAnalysisRow.call_id, CallAnalysisRow.generation)
            .join(CallRow, col(CallRow.id) == CallAnalysisRow.call_id)
            .where(
                col(CallAnalysisRow.is_pending),
                col(CallRow.settled_at).is_not(None),
                col(CallAnalysisRow.updated_at) < now() - timedelta(seconds=OVERDUE_SECONDS),
            )
            .limit(1000)
        )
        left = found.all()
    for call_id, generation in left:
        await engine.start_again(f"analyse-{call_id}-{generation}", analyse_again, call_id, generation)


async def sweep_uploads() -> None:
    """Forget the halves of files that were being uploaded when an api process died."""
    reach = engine.reach()
    count = await reach.storage.forget_unfinished(UPLOAD_SECONDS)
    if count := count + await reach.knowledge.forget_unfinished(UPLOAD_SECONDS):
        _LOG.info("unfinished uploads removed", extra={"count": count})


async def sweep_orphans() -> None:
    """Delete recordings whose call is gone or forgotten, and whoever did that died, or left its parts."""
    reach = engine.reach()
    names = await reach.storage.names("call_", older_than_seconds=UPLOAD_SECONDS)
    for start in range(0, len(names), 500):
        # `call_….ogg`, and `call_…-1.ogg` of one attempt among several.
        owners = {name: name.partition(".")[0].partition("-")[0] for name in names[start : start + 500]}
        async with reach.database.transaction(writes=False) as session:
            asked = select(CallRow.id).where(
                col(CallRow.id).in_(set(owners.values())), col(CallRow.forgotten_at).is_(None)
            )
            known = set((await session.exec(asked)).all())
        for name, call_id in owners.items():
            if call_id not in known:
                await reach.storage.delete(name)


async def sweep_unused() -> None:
    """Forget calls whose token expired before anybody used it: unbilled, and never heard of."""
    async with engine.reach().database.transaction() as session:
        await session.exec(
            delete(CallRow).where(
                col(CallRow.briefed_at).is_(None),
                col(CallRow.token_expires_at) < now() - timedelta(seconds=UNUSED_GRACE_SECONDS),
            )
        )
