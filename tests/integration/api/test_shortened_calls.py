"""A call that was charged for too long: its worker's last word, when it comes, brings the rest again."""

import asyncio
from datetime import timedelta
from decimal import Decimal

import pytest
from sqlmodel import select

from api.calls import billing, settlement
from api.calls.table import CallRow
from api.db.columns import now
from api.db.engine import Database
from api.http.callers import Caller
from api.http.metrics import Metrics
from api.internal import service
from api.usage import service as usage
from api.wallet import charges, corrections, ledger, rates, reading, transfers
from api.wallet.table import TransactionRow
from pipelines.contract.events import CallEnded, CallStarted, EventBatch
from pipelines.costs import Prices

BEGAN = now() - timedelta(minutes=10)


async def charged_call(database: Database, *, is_billed: bool, tenant_margin: int = 0) -> str:
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
        ).model_copy(update={"tenant_margin_percent": Decimal(tenant_margin), "tenant_owner_id": "user_2"})
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
    database: Database, is_billed: bool, left: int
) -> None:
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
        # The figures say what was used in the end, as one charge.
        caller = Caller("user_1", "user_1", "user")
        used = await usage.daily(session, caller, 2)
        assert [(day.credits_total, day.calls_made, day.call_duration_ms) for day in used] == [
            ("0.050000", 1, 30_000)
        ]
        spent = await reading.usage_stats(session, "user_1", 2)
        assert (spent.total_spent, spent.total_cost, spent.transaction_count) == (0.05, 0.05, 1)
        told = await reading.analytics(session, "user_1", 2)
        assert [(one.cost_usd, one.requests, one.duration_ms) for one in told.agents] == [(0.05, 1, 30_000)]


async def test_of_a_members_call_the_owners_margin_goes_back_with_it(database: Database) -> None:
    call_id = await charged_call(database, is_billed=True, tenant_margin=10)
    async with database.transaction() as session:
        assert await corrections.shorten(session, call_id, 120_000) is None, "it was right"
        assert await ledger.balance(session, "user_2") == 20_000
        for seconds, back, earned in ((60, 110_000, 10_000), (30, 55_000, 5_000)):
            refund = await corrections.shorten(session, call_id, seconds * 1000)
            assert refund is not None
            # Of 220,000: the member's price, the margin in it.
            assert (refund.amount_micros, refund.tenant_micros) == (back, -back // 11)
            assert await ledger.balance(session, "user_2") == earned
            assert await corrections.shorten(session, call_id, seconds * 1000) is None, "once"
        assert await ledger.balance(session, "user_1") == 1_000_000 - 55_000
        assert await ledger.faults(session) == []
        rows = (await session.exec(select(TransactionRow).where(TransactionRow.owner_id == "user_2"))).all()
        assert [(row.type, row.amount_micros) for row in rows] == [
            ("earning", 20_000),
            ("earning", -10_000),
            ("earning", -5_000),
        ]


async def test_an_owner_who_spent_the_margin_owes_it(database: Database) -> None:
    call_id = await charged_call(database, is_billed=True, tenant_margin=10)
    async with database.transaction() as session:
        await transfers.transfer(session, from_owner="user_2", to_owner="user_1", amount=20_000, note="")
        assert await corrections.shorten(session, call_id, 0) is not None
        assert await ledger.balance(session, "user_1") == 1_020_000
        assert await ledger.balance(session, "user_2") == -20_000
        assert await ledger.faults(session) == []


async def test_two_words_at_once_take_the_margin_back_once(database: Database) -> None:
    call_id = await charged_call(database, is_billed=True, tenant_margin=10)

    async def told() -> None:
        async with database.transaction() as session:
            await corrections.shorten(session, call_id, 60_000)

    await asyncio.gather(*(told() for _ in range(6)))
    async with database.transaction(writes=False) as session:
        assert await ledger.balance(session, "user_2") == 10_000
        assert await ledger.balance(session, "user_1") == 1_000_000 - 110_000
        assert await ledger.faults(session) == []
