"""A call that was charged for too long: its worker's last word, when it comes, brings the rest again."""

from datetime import timedelta

import pytest
from sqlmodel import select

from api.calls import billing, settlement
from api.calls.table import CallRow
from api.db import migrate
from api.db.columns import now
from api.db.engine import Database
from api.http.metrics import Metrics
from api.internal import service
from api.wallet import charges, ledger, rates
from api.wallet.table import TransactionRow
from pipelines.contract import CallEnded, CallStarted, EventBatch
from pipelines.costs import Prices

BEGAN = now() - timedelta(minutes=10)


async def charged_call(database: Database, *, is_billed: bool) -> str:
    """A call that was presumed to have lasted two minutes, and was charged for them."""
    call = CallRow(
        owner_id="user_1",
        room_name="room_1",
        attempt=1,
        worker_id="w",
        briefed_at=BEGAN,
        status="failed",
        is_presumed=True,
        started_at=BEGAN,
        ended_at=BEGAN + timedelta(seconds=120),
    )
    async with database.transaction() as session:
        session.add(call)
        given = TransactionRow(
            key="bonus:user_1", owner_id="user_1", type="topup", amount_micros=1_000_000, description=""
        )
        await ledger.post(session, given, {"bonus": -1_000_000, "wallet:user_1": 1_000_000})
        tariff = charges.Tariff.of(
            rates.load(), is_phone=False, is_outbound=False, is_recorded=False, is_realtime=False
        )
        await charges.hold(
            session,
            call_id=call.id,
            owner_id="user_1",
            tariff=tariff,
            longest_seconds=300,
            rates=rates.load(),
            is_billed=is_billed,
        )
        await session.flush()
        await settlement.write_usage(session, call.id)
        await billing.charge(session, call.id, Prices(as_of="2026-11", models={}))
        await settlement.mark_settled(session, call.id)
    return call.id


@pytest.mark.parametrize(("is_billed", "left"), [(True, 950_000), (False, 1_000_000)])
async def test_what_was_charged_too_much_comes_again_once(
    database_url: str, is_billed: bool, left: int
) -> None:
    await migrate.upgrade(database_url)
    database = Database(database_url)
    call_id = await charged_call(database, is_billed=is_billed)
    said = {"call_id": call_id, "attempt": 1}
    events = [
        CallStarted(**said, sequence=1, at=BEGAN, worker_id="w", stt="", llm="", tts=""),
        CallEnded(
            **said, sequence=2, at=BEGAN + timedelta(seconds=30), status="completed", reason="bye", usage={}
        ),
    ]
    batch = EventBatch(worker_id="w", events=tuple(events))
    for _ in range(2):
        async with database.transaction() as session:
            await service.accept(session, batch, Metrics(), lambda _: None)
    async with database.transaction(writes=False) as session:
        rows = (await session.exec(select(TransactionRow).where(TransactionRow.call_id == call_id))).all()
        assert sorted((row.type, row.amount_micros) for row in rows) == [
            ("refund", 150_000),
            ("usage", -200_000),
        ]
        assert await ledger.balance(session, "user_1") == left
        assert await ledger.faults(session) == []
    await database.close()
