"""A row that always fails, among good ones in each sweep of money: the database itself refuses it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text
from sqlmodel import col, select, update

from api.audit.table import AuditRow
from api.cli import main
from api.db.columns import now
from api.db.engine import Database
from api.durable.table import LetterRow
from api.payments import recharge
from api.payments.table import PaymentReversalRow, PaymentRow
from api.phone_numbers import checkouts, renting
from api.phone_numbers.table import OURS, NumberCheckoutRow, NumberOrderRow
from api.stuck import service as stuck
from api.stuck.table import StuckRow
from api.users.table import UserRow
from api.wallet import ledger

GOOD = [f"good_{n}" for n in range(3)]
BAD = "bad"
SECRET = "Zebedee said so"


async def poison(database: Database, table: str, column: str) -> None:
    """No row of this name can be changed any more."""
    async with database.engine.begin() as connection:
        if database.is_sqlite:
            await connection.execute(
                text(
                    f"create trigger poison before update on {table} when new.{column} = '{BAD}' "
                    f"begin select raise(abort, '{SECRET}'); end"
                )
            )
            return
        await connection.execute(
            text(
                "create function poison() returns trigger as "
                f"$$ begin raise exception '{SECRET}'; end $$ language plpgsql"
            )
        )
        await connection.execute(
            text(
                f"create trigger poison before update on {table} for each row "
                f"when (new.{column} = '{BAD}') execute function poison()"
            )
        )


async def mend(database: Database, table: str) -> None:
    async with database.engine.begin() as connection:
        on = "" if database.is_sqlite else f" on {table}"
        await connection.execute(text(f"drop trigger poison{on}"))


async def rents(database: Database) -> None:
    async with database.transaction() as session:
        for n, name in enumerate([BAD, *GOOD]):
            due = now() - timedelta(days=1, minutes=10 - n)  # the bad one is always the first
            row = NumberOrderRow(
                id=name,
                owner_id="user_1",
                number=f"+1312555000{n}",
                status=OURS,
                cost_micros=1_000_000,
                upfront_cost_micros=0,
                monthly_micros=1_500_000,
                upfront_micros=0,
                months_paid=1,
                paid_until=due,
                try_rent_at=due,
            )
            session.add(row)


async def rented(database: Database) -> list[str]:
    async with database.transaction(writes=False) as session:
        found = await session.exec(select(NumberOrderRow.id).where(NumberOrderRow.months_paid == 2))
        return sorted(found.all())


async def paid_numbers(database: Database) -> None:
    async with database.transaction() as session:
        for n, name in enumerate([BAD, *GOOD]):
            session.add(
                PaymentRow(
                    id=f"pay_{name}",
                    owner_id="user_1",
                    provider="stripe",
                    amount_micros=2_000_000,
                    is_paid=True,
                )
            )
            row = NumberCheckoutRow(
                id=name,
                owner_id="user_1",
                payment_id=f"pay_{name}",
                session_id="cs_1",
                number=f"+1312555000{n}",
                is_billed=False,
                cost_micros=1_000_000,
                upfront_cost_micros=0,
                monthly_micros=1_500_000,
                upfront_micros=0,
                expires_at=now() - timedelta(days=50 if name == BAD else 0),
            )
            session.add(row)


async def ordered(database: Database) -> list[str]:
    async with database.transaction(writes=False) as session:
        done = col(NumberCheckoutRow.done_at).is_not(None)
        return sorted((await session.exec(select(NumberCheckoutRow.id).where(done))).all())


async def refunds(database: Database) -> None:
    async with database.transaction() as session:
        for name in [BAD, *GOOD]:
            session.add(
                PaymentRow(
                    id=f"pay_{name}",
                    owner_id="user_1",
                    provider="stripe",
                    amount_micros=9,
                    reference=f"pi_{name}",
                    is_paid=True,
                )
            )
            session.add(
                PaymentReversalRow(
                    provider="stripe",
                    reference=name,
                    payment_reference=f"pi_{name}",
                    kind="refund",
                    micros=4,
                    is_in_force=True,
                    at=1,
                )
            )


async def refunded(database: Database) -> list[str]:
    async with database.transaction(writes=False) as session:
        posted = col(PaymentReversalRow.posted_micros) == 4
        return sorted((await session.exec(select(PaymentReversalRow.reference).where(posted))).all())


Sweep = Callable[[], Awaitable[None]]
Step = Callable[[Database], Awaitable[None]]
Look = Callable[[Database], Awaitable[list[str]]]
SWEEPS: dict[str, tuple[Sweep, Step, Look, tuple[str, str], str, int]] = {
    "rent": (renting.sweep, rents, rented, ("number_orders", "id"), f"rent/{BAD}", 2),
    "paid number": (
        checkouts.sweep,
        paid_numbers,
        ordered,
        ("number_checkouts", "id"),
        f"paid-number/{BAD}",
        2,
    ),
    "refund": (
        recharge.sweep,
        refunds,
        refunded,
        ("payment_reversals", "reference"),
        f"reversal/pay_{BAD}",
        1,
    ),
}


async def at_last(database: Database) -> list[StuckRow]:
    async with database.transaction(writes=False) as session:
        return list((await session.exec(select(StuckRow))).all())


async def letters_of(database: Database) -> Sequence[LetterRow]:
    async with database.transaction(writes=False) as session:
        return (await session.exec(select(LetterRow).order_by(LetterRow.id))).all()


async def later(database: Database) -> None:
    """As if the pause were over."""
    async with database.transaction() as session:
        await session.exec(update(StuckRow).values(try_at=now()))


@pytest.mark.usefixtures("durable")
@pytest.mark.parametrize("name", SWEEPS)
async def test_a_row_that_always_fails_keeps_nobody_waiting_and_is_not_forgotten(
    database: Database,
    database_url: str,
    tmp_path: Path,
    name: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    sweep, lay, done, poisoned, stuck_name, letters_each = SWEEPS[name]
    async with database.transaction() as session:
        session.add(UserRow(id="user_1", email="ada@example.com", password_hash="x"))
    await lay(database)
    await poison(database, *poisoned)

    await sweep()
    assert await done(database) == GOOD
    (row,) = await at_last(database)
    assert (f"{row.kind}/{row.key}", row.owner_id, row.tries) == (stuck_name, "user_1", 1)
    assert timedelta(seconds=14) < row.try_at - row.created_at < timedelta(seconds=17)
    await sweep()  # too early: nothing is tried
    assert (await at_last(database))[0].tries == 1

    pauses = []
    for tries in range(2, stuck.MOST_TRIES + 1):
        await later(database)
        if name == "paid number":
            await checkouts.forget_unpaid()  # long expired, but paid for
        began = now()
        await sweep()
        (row,) = await at_last(database)
        assert row.tries == tries
        pauses.append((row.try_at - began).total_seconds())
    assert [round(pause / 60) for pause in pauses[:-1]] == [1, 4, 16, 64, 256, 1024]
    assert row.given_up_at is not None
    written = await letters_of(database)
    assert [one.to for one in written] == ["ada@example.com"] * letters_each  # who also runs the server
    assert f"call2me wallet retry {stuck_name}" in "".join(one.text for one in written)
    assert SECRET not in str([(one.subject, one.text) for one in written]) + row.error
    assert SECRET not in caplog.text
    async with database.transaction(writes=False) as session:
        (entry,) = (await session.exec(select(AuditRow))).all()
    assert (entry.owner_id, entry.actor, entry.action) == ("user_1", "system", "give_up")
    assert entry.target["what"] == stuck_name

    await later(database)
    await sweep()  # it is given up: nobody tries any more
    assert [one.tries for one in await at_last(database)] == [stuck.MOST_TRIES]
    assert await done(database) == GOOD

    environment = {"CALL2ME_HOME": str(tmp_path / "home"), "CALL2ME_DATABASE_URL": database_url}

    async def call2me(*arguments: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, main, ["wallet", *arguments], env=environment)

    told = await call2me("stuck")
    assert (told.exit_code, "GIVEN UP" in told.output, stuck_name in told.output) == (1, True, True)
    assert (await call2me("retry", "rent/nothing")).exit_code == 1
    assert (await call2me("retry")).exit_code == 2
    await mend(database, poisoned[0])
    assert (await call2me("retry", stuck_name)).exit_code == 0
    await sweep()
    assert await done(database) == [BAD, *GOOD]
    assert await at_last(database) == []
    told = await call2me("stuck")
    assert (told.exit_code, told.output) == (0, "Nothing is stuck.\n")
    async with database.transaction(writes=False) as session:
        actions = (
            await session.exec(select(AuditRow.actor, AuditRow.action).order_by(col(AuditRow.at)))
        ).all()
        assert list(actions) == [("system", "give_up"), ("operator", "retry_stuck")]
        assert await ledger.faults(session) == []


@pytest.mark.usefixtures("durable")
async def test_checkouts_are_forgotten_when_done_or_never_paid_and_not_before(database: Database) -> None:
    async with database.transaction() as session:
        session.add(UserRow(id="user_1", email="ada@example.com", password_hash="x"))
    await paid_numbers(database)
    async with database.transaction() as session:
        for name, days, is_paid, is_done in (
            ("good_0", 3, True, True),
            ("good_1", 29, False, False),
            ("good_2", 31, False, False),
        ):
            row = await session.get_one(NumberCheckoutRow, name)
            payment = await session.get_one(PaymentRow, row.payment_id)
            row.expires_at, payment.is_paid = now() - timedelta(days=days), is_paid
            row.done_at = now() if is_done else None
            session.add_all([row, payment])
    await checkouts.forget_unpaid()
    async with database.transaction(writes=False) as session:
        left = (await session.exec(select(NumberCheckoutRow.id))).all()
    assert sorted(left) == [BAD, "good_1"]  # paid and not ordered, however old; and who may still pay


@pytest.mark.usefixtures("durable")
async def test_a_row_that_hangs_is_left_and_comes_last(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stuck, "ROW_SECONDS", 0.05)
    work, seen = stuck.Work("test"), []

    async def do(key: str) -> None:
        seen.append(key)
        if key == BAD:
            await asyncio.Event().wait()

    for _ in range(2):
        await stuck.each(database, work, [(key, "user_1") for key in (BAD, *GOOD)], do)
        await later(database)
    assert seen == [BAD, *GOOD, *GOOD, BAD]
    (row,) = await at_last(database)
    assert (row.tries, row.error) == (2, "TimeoutError")
    async with database.transaction() as session:
        await session.exec(update(StuckRow).values(try_at=now() - timedelta(days=3)))
    await stuck.sweep()  # no sweep has found it for days
    assert await at_last(database) == []
