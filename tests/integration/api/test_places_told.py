"""Where many callers stand is taken in at once, whatever else is written of them in the same moment."""

import asyncio

from sqlmodel import col, select

from api.calls import phoning
from api.calls.table import CallRow
from api.db.columns import now
from api.db.engine import Database
from api.users.table import UserRow
from pipelines.contract.phones import PlacesTold, PlaceTold


async def test_places_wait_for_who_writes_of_the_same_calls_in_their_usual_order(database: Database) -> None:
    waits = {"position": 0, "entered_at": now().isoformat(), "left_at": None, "until": now().isoformat()}
    async with database.transaction() as session:
        session.add(UserRow(id="user_1", email="owner@example.com", password_hash="x"))
        await session.flush()
        for call_id in ("call_a", "call_b"):
            told = {"call_type": "phone_call", "status": "ringing", "queue": waits}
            session.add(CallRow(id=call_id, owner_id="user_1", **told))

    async def moves() -> None:
        in_line = (PlaceTold(call_id="call_b", place=1), PlaceTold(call_id="call_a", place=2))
        async with database.transaction() as session:
            await phoning.told_places(session, PlacesTold(worker_id="w1", places=in_line))

    async with database.transaction() as session:
        by_id = select(CallRow).with_for_update().order_by(col(CallRow.id))
        await session.exec(by_id.where(CallRow.id == "call_a"))
        moving = asyncio.create_task(moves())
        await asyncio.sleep(0.3)
        await session.exec(by_id)  # as whoever takes in events
    await moving
    async with database.transaction(writes=False) as session:
        found = (await session.exec(select(CallRow).order_by(col(CallRow.id)))).all()
    assert [(call.id, (call.queue or {})["position"]) for call in found] == [("call_a", 2), ("call_b", 1)]
