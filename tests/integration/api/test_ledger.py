"""The book proves itself, whoever writes at once, on both kinds of database."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from decimal import Decimal

import pytest
from sqlalchemy import text
from sqlmodel import col, func, select

from api.db.engine import Database
from api.wallet import charges, chat_charges, corrections, credit, ledger, rates, rents, transfers
from api.wallet.table import EntryRow, HoldRow, TransactionRow, WalletRow

RATES = rates.load()
TARIFF = charges.Tariff.of(RATES, is_phone=False, is_outbound=False, is_recorded=False, is_realtime=False)


async def grant(database: Database, owner_id: str, usd: str, key: str = "") -> None:
    async with database.transaction(is_durable=True) as session:
        await credit.grant(session, owner_id, Decimal(usd), note="", granted_by="test", key=key)


async def begin(
    database: Database, owner_id: str, call_id: str, *, longest: int = 600, is_billed: bool = True
) -> HoldRow:
    async with database.transaction() as session:
        return await charges.hold(
            session,
            call_id=call_id,
            owner_id=owner_id,
            tariff=TARIFF,
            longest_seconds=longest,
            rates=RATES,
            is_billed=is_billed,
        )


async def end(database: Database, call_id: str, seconds: float) -> TransactionRow | None:
    used = charges.Used(None, round(seconds * 1000), 0, 0, 0, None, None)
    async with database.transaction(is_durable=True) as session:
        return await charges.charge(session, call_id, used)


async def balance(database: Database, owner_id: str) -> int:
    async with database.transaction(writes=False) as session:
        assert await ledger.faults(session) == []
        return await ledger.balance(session, owner_id)


async def test_a_call_holds_what_it_may_cost_and_is_charged_what_it_did(database: Database) -> None:
    await grant(database, "user_1", "5")
    held = await begin(database, "user_1", "call_1")
    assert (held.amount_micros, held.seconds) == (1_000_000, 600)
    charged = await end(database, "call_1", 60)
    assert charged is not None
    assert (charged.balance_before_micros, charged.balance_after_micros) == (5_000_000, 4_900_000)
    assert charged.explanation is not None
    assert charged.explanation["parts"] == [
        {"name": "base", "rate_per_min": "0.10", "seconds": 60, "usd": "0.100000"}
    ]
    assert await end(database, "call_1", 60) is None
    assert await balance(database, "user_1") == 4_900_000


async def test_a_call_lasts_as_long_as_what_is_left(database: Database) -> None:
    await grant(database, "user_1", "0.5")
    assert (await begin(database, "user_1", "call_1")).seconds == 300
    assert (await begin(database, "user_1", "call_1")).seconds == 300  # asked again, it is the same
    with pytest.raises(charges.InsufficientBalance):
        await begin(database, "user_1", "call_2")
    await end(database, "call_1", 0)  # nobody spoke: what it held is free again
    assert (await begin(database, "user_1", "call_2")).seconds == 300


async def test_with_billing_off_this_server_pays_and_nobody_is_in_debt(database: Database) -> None:
    await begin(database, "user_1", "call_1", is_billed=False)
    charged = await end(database, "call_1", 30)
    assert charged is not None
    assert (charged.amount_micros, charged.balance_after_micros) == (-50_000, 0)
    assert charged.description.endswith("paid by this server (billing is off)")
    assert await balance(database, "user_1") == 0


async def test_the_same_grant_twice_is_one(database: Database) -> None:
    await asyncio.gather(*(grant(database, "user_1", "3", key="evt_1") for _ in range(4)))
    assert await balance(database, "user_1") == 3_000_000


async def test_entries_that_do_not_add_up_are_not_written(database: Database) -> None:
    row = TransactionRow(key="x", owner_id="u", type="topup", amount_micros=1, description="")
    for entries in ({"bonus": -1, "wallet:u": 2}, {"bonus": -1, "wallet:other": 1}):
        with pytest.raises(ledger.Unbalanced):
            async with database.transaction() as session:
                await ledger.post(session, row, entries)
    assert await balance(database, "u") == 0


async def test_a_wrong_balance_is_found(database: Database) -> None:
    await grant(database, "user_1", "1")
    async with database.transaction() as session:
        await (await session.connection()).execute(text("UPDATE wallets SET balance_micros = 7"))
    async with database.transaction(writes=False) as session:
        assert await ledger.faults(session) == ["the balance of user_1 is not the sum of its entries"]


async def test_what_was_taken_on_its_way_and_never_given_is_found(database: Database) -> None:
    row = TransactionRow(
        key="transfer:1:in", owner_id="user_1", type="transfer", amount_micros=5, description=""
    )
    async with database.transaction() as session:
        await ledger.post(session, row, {ledger.TRANSFERS: -5, ledger.wallet("user_1"): 5})
        assert await ledger.faults(session) == ["transfers is not empty"]


async def test_money_is_written_with_the_strongest_durability(database: Database) -> None:
    if not database.is_sqlite:
        async with database.transaction(is_durable=True) as session:
            assert (
                await (await session.connection()).execute(text("SHOW synchronous_commit"))
            ).scalar_one() == "on"
        return
    for is_durable, level in ((False, 1), (True, 2), (False, 1)):
        async with database.transaction(is_durable=is_durable) as session:
            assert (
                await (await session.connection()).execute(text("PRAGMA synchronous"))
            ).scalar_one() == level


@pytest.mark.parametrize("seed", range(3))
async def test_whoever_writes_at_once_the_book_is_right(database: Database, seed: int) -> None:
    """Owners, calls and grants in a random order by eight writers; each call's charge is tried twice."""
    luck = random.Random(seed)  # noqa: S311 - a test that can be repeated
    owners = ["user_a", "user_b"]
    overshoot = dict.fromkeys(owners, 0)
    steps = [(luck.choice(owners), number, luck.random()) for number in range(60)]
    begun = 0

    async def write(mine: list[tuple[str, int, float]]) -> None:
        nonlocal begun
        for owner, number, chance in mine:
            call_id = f"call_{number}"
            if chance < 0.4:
                await grant(database, owner, f"{chance:.6f}")
                continue
            try:
                held = await begin(database, owner, call_id, longest=120)
            except charges.InsufficientBalance:
                continue
            begun += 1
            seconds = held.seconds * chance * 1.2  # some overstay what they were given
            charged = await asyncio.gather(*(end(database, call_id, seconds) for _ in range(2)))
            (row,) = [row for row in charged if row is not None]
            overshoot[owner] += max(0, -row.amount_micros - held.amount_micros)

    await asyncio.gather(*(write(steps[start::8]) for start in range(8)))
    assert begun > 5
    for owner in owners:
        assert await balance(database, owner) >= -overshoot[owner]
    async with database.transaction(writes=False) as session:
        assert (await session.exec(select(func.sum(EntryRow.amount_micros)))).one() == 0
        assert (await session.exec(select(HoldRow))).all() == []
        for wallet in (await session.exec(select(WalletRow))).all():
            rows = await session.exec(
                select(TransactionRow)
                .where(TransactionRow.owner_id == wallet.owner_id)
                .order_by(TransactionRow.id)  # type: ignore[arg-type]
            )
            at = 0
            for row in rows.all():  # each begins where the one before it ended
                assert row.balance_before_micros == at
                at = row.balance_after_micros
                assert at == row.balance_before_micros + row.amount_micros
            assert at == wallet.balance_micros


async def test_a_members_call_pays_the_tenants_owner_what_they_added(database: Database) -> None:
    await grant(database, "member", "1")
    tariff = TARIFF.model_copy(update={"tenant_owner_id": "reseller", "tenant_margin_percent": Decimal(50)})
    async with database.transaction() as session:
        held = await charges.hold(
            session,
            call_id="call_1",
            owner_id="member",
            tariff=tariff,
            longest_seconds=60,
            rates=RATES,
            is_billed=True,
        )
    assert held.amount_micros == 150_000
    for _ in range(2):  # again, it changes nothing
        await end(database, "call_1", 60)
    assert await balance(database, "member") == 850_000
    assert await balance(database, "reseller") == 50_000
    async with database.transaction(writes=False) as session:
        rows = {row.type: row for row in (await session.exec(select(TransactionRow))).all()}
    assert (rows["usage"].tenant_micros, rows["usage"].amount_micros) == (50_000, -150_000)
    assert rows["earning"].explanation == {"call_id": "call_1", "margin_percent": "50"}


async def test_many_transfers_both_ways_at_once_lose_and_make_nothing(database: Database) -> None:
    for owner_id in ("one", "two"):
        await grant(database, owner_id, "1")

    async def move(number: int) -> None:
        away, to = ("one", "two") if number % 2 else ("two", "one")
        try:
            async with database.transaction(is_durable=True) as session:
                await transfers.transfer(
                    session, from_owner=away, to_owner=to, amount=300_000 + number, note=""
                )
        except charges.InsufficientBalance:
            pass

    await asyncio.gather(*(move(number) for number in range(24)))
    left = [await balance(database, owner_id) for owner_id in ("one", "two")]
    assert sum(left) == 2_000_000
    assert min(left) >= 0


async def test_nobody_gives_what_a_running_call_holds(database: Database) -> None:
    await grant(database, "one", "1")
    held = await begin(database, "one", "call_1")
    async with database.transaction() as session:
        with pytest.raises(charges.InsufficientBalance):
            await transfers.transfer(
                session,
                from_owner="one",
                to_owner="two",
                amount=1_000_000 - held.amount_micros + 1,
                note="",
            )
    assert await balance(database, "one") == 1_000_000
    assert await balance(database, "two") == 0


@pytest.mark.parametrize("seed", range(2))
async def test_every_kind_of_money_at_once_leaves_the_book_right(database: Database, seed: int) -> None:
    """Answers and calls of members, rents, transfers, refunds and grants, by eight writers at once."""
    luck = random.Random(seed)  # noqa: S311 - a test that can be repeated
    owners = ["member", "reseller"]
    for owner in owners:
        await grant(database, owner, "2")
    chatty = RATES.model_copy(
        update={"chat_rate_per_message": Decimal("0.03"), "margin_percent": Decimal(20)}
    )
    member = TARIFF.model_copy(update={"tenant_owner_id": "reseller", "tenant_margin_percent": Decimal(50)})

    async def answer(name: str) -> None:
        async with database.transaction() as session:
            await chat_charges.hold(
                session, name, "member", chatty, is_billed=True, tenant=("reseller", Decimal(50))
            )
        for _ in range(2):  # again, it changes nothing
            async with database.transaction(is_durable=True) as session:
                await chat_charges.charge(
                    session,
                    name,
                    owner_id="member",
                    chat_id="chat_1",
                    agent_id=None,
                    model="",
                    tokens=(0, 0),
                    provider_usd=None,
                )

    async def talk(name: str) -> None:
        async with database.transaction() as session:
            await charges.hold(
                session,
                call_id=name,
                owner_id="member",
                tariff=member,
                longest_seconds=120,
                rates=RATES,
                is_billed=True,
            )
        await asyncio.gather(*(end(database, name, 60) for _ in range(2)))
        async with database.transaction() as session:
            await corrections.shorten(session, name, 30_000)

    async def rent(name: str) -> None:
        for _ in range(2):
            async with database.transaction(is_durable=True) as session:
                await rents.charge_month(
                    session, name, "reseller", "+1", 2, rents.Rent(90_000, 60_000), is_billed=True
                )

    async def move(name: str) -> None:
        away, to = owners if len(name) % 2 else reversed(owners)
        async with database.transaction(is_durable=True) as session:
            await transfers.transfer(session, from_owner=away, to_owner=to, amount=50_000, note=name)

    async def give(name: str) -> None:
        await asyncio.gather(*(grant(database, "member", "0.05", key=name) for _ in range(2)))

    kinds = [answer, answer, talk, rent, move, give]
    steps = [(luck.choice(kinds), f"{'x' * luck.randint(1, 2)}_{number}") for number in range(64)]
    done = Counter[str]()

    async def write(mine: list[tuple[Callable[[str], Awaitable[None]], str]]) -> None:
        for kind, name in mine:
            with suppress(charges.InsufficientBalance):
                await kind(name)
                done[kind.__name__] += 1

    await asyncio.gather(*(write(steps[start::8]) for start in range(8)))
    assert min(done[kind.__name__] for kind in kinds) >= 2
    async with database.transaction(writes=False) as session:
        assert await ledger.faults(session) == []
        assert (await session.exec(select(func.sum(EntryRow.amount_micros)))).one() == 0
        assert (await session.exec(select(HoldRow))).all() == []
        rows = (await session.exec(select(TransactionRow).order_by(col(TransactionRow.id)))).all()
        at = dict.fromkeys(owners, 0)
        for row in rows:  # each begins where the one before it of its owner ended, and never below nothing
            assert row.balance_before_micros == at[row.owner_id]
            at[row.owner_id] = row.balance_after_micros
            assert 0 <= row.balance_after_micros == row.balance_before_micros + row.amount_micros
        used = [row for row in rows if row.type in ("usage", "refund")]
        earned = sum(row.amount_micros for row in rows if row.type == "earning")
        assert earned == sum(row.tenant_micros for row in used) > 0
        assert len([row for row in used if row.endpoint_type == "chat"]) == done["answer"]
        assert len([row for row in used if row.endpoint_type == "number"]) == done["rent"]
