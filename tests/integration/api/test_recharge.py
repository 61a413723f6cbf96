"""A card that is declined again and again is left alone, and its owner is told."""

import asyncio
from contextlib import suppress
from functools import partial

import pytest
from dbos import DBOS
from sqlmodel import select

from api.db import migrate
from api.db.engine import Database
from api.durable import engine
from api.durable.table import LetterRow
from api.outside.payments import PaymentsUnavailable
from api.payments import applying, recharge
from api.payments.table import PaymentReversalRow, PaymentRow
from api.users.table import UserRow
from api.wallet import ledger
from api.wallet.table import AutoChargeRow


async def test_after_three_declined_charges_in_a_row_it_is_off(database_url: str) -> None:
    await migrate.upgrade(database_url)
    database = Database(database_url)
    async with database.transaction() as session:
        session.add(UserRow(id="user_1", email="ada@example.com", password_hash="x"))
        await session.flush()
        session.add(AutoChargeRow(owner_id="user_1", is_enabled=True, threshold_micros=1, amount_micros=1))
    for number in range(3):
        async with database.transaction() as session:
            row = PaymentRow(owner_id="user_1", provider="stripe", amount_micros=1, is_auto_charge=True)
            session.add(row)
            await session.flush()
            await applying.fail(session, row, "failed", "insufficient_funds")
        async with database.transaction(writes=False) as session:
            assert (await session.get_one(AutoChargeRow, "user_1")).is_enabled is (number < 2)
            letters = (await session.exec(select(LetterRow))).all()
            assert len(letters) == (0 if number < 2 else 1)
    assert "declined 3 times: insufficient_funds" in letters[0].text
    await recharge.consider(database, "user_1")
    async with database.transaction(writes=False) as session:
        assert len((await session.exec(select(PaymentRow))).all()) == 3
    await database.close()


async def test_a_refund_written_in_the_same_moment_as_its_payment_is_found(database_url: str) -> None:
    await migrate.upgrade(database_url)
    database = Database(database_url)
    async with database.transaction() as session:
        session.add(
            PaymentRow(
                id="pay_1",
                owner_id="user_1",
                provider="stripe",
                amount_micros=9,
                reference="pi_1",
                is_paid=True,
            )
        )
        session.add(
            PaymentReversalRow(
                provider="stripe",
                reference="re_1",
                payment_reference="pi_1",
                kind="refund",
                micros=4,
                is_in_force=True,
                at=1,
            )
        )
    for _ in range(2):
        async with database.transaction() as session:
            for payment_id, _ in await applying.unsettled(session):
                await applying.settle(session, payment_id)
    async with database.transaction(writes=False) as session:
        assert await ledger.balance(session, "user_1") == -4
        assert await ledger.faults(session) == []
    await database.close()


_tries: list[str] = []


@DBOS.workflow(name="test.fails_at_first")
async def fails_at_first(name: str) -> None:
    _tries.append(name)
    if len(_tries) == 1:
        raise PaymentsUnavailable("no answer")


@pytest.mark.usefixtures("durable")
async def test_a_charge_that_gave_up_is_asked_again_and_one_that_was_asked_is_not() -> None:
    _tries.clear()

    async def sweep_of_two(pause_seconds: float) -> int:
        one = partial(engine.start_unless_done, "charge-test", fails_at_first, "pay_1")
        await asyncio.gather(*(one(pause_seconds=pause_seconds) for _ in range(2)))
        for begun in await DBOS.list_workflows_async(workflow_id_prefix="charge-test"):
            with suppress(PaymentsUnavailable):
                await (await DBOS.retrieve_workflow_async(begun.workflow_id)).get_result()
        return len(_tries)

    assert await sweep_of_two(60) == 1
    assert await sweep_of_two(60) == 1, "not before its pause is over"
    await asyncio.sleep(0.01)
    assert await sweep_of_two(0) == 2, "by two processes that see the same failure, once"
    assert await sweep_of_two(0) == 2
