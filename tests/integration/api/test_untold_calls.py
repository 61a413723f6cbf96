"""What becomes of calls whose dialling nobody looks after any more: a process died, or an order was lost."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import select

from api.calls import phoning, placing, workflows
from api.calls.outcomes import outcome_of
from api.calls.table import RUNNING, CallRow
from api.db.columns import now
from api.db.engine import Database
from api.db.migrate import upgrade
from api.db.vault import Vault
from api.internal.livekit_phones import LiveKitPhones
from api.outside.phones import Dialler, NeverSent, NoPhones, PhonesUnavailable, Unanswered, Unsure
from api.secret_keys import fresh_encryption_key
from api.stuck.table import StuckRow
from api.users.table import UserRow
from pipelines.contract.websocket import Dial

LONG_AGO = now() - timedelta(days=1)


class Line(NoPhones):
    """A phone line that does as it is told: to be withdrawn from is what a dialler's journal says."""

    def __init__(self, **dials: PhonesUnavailable | None) -> None:
        self.dials = dials
        """By dialler, in order: what comes of an order to it."""
        self.orders: list[tuple[str, str]] = []
        self.withdrawn: list[str] = []

    async def diallers(self) -> Sequence[Dialler]:
        return [Dialler(name, "journal") for name in self.dials]

    async def dial(self, dialler: Dialler, order: Dial) -> None:
        self.orders.append((dialler.name, order.call_id))
        if (error := self.dials[dialler.name]) is not None:
            raise error

    async def withdraw(self, dialler: Dialler, call_id: str) -> bool:
        self.withdrawn.append(call_id)
        match dialler.journal:
            case "away":
                raise Unanswered
            case "gone":
                raise Unsure("it is gone")
        return dialler.journal == "nobody was called"


@pytest.fixture
async def database(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Database]:
    """With an owner."""

    async def settle(_: str) -> None:
        """Nobody bills here."""

    async def shared(*_: Any) -> str:
        return ""

    monkeypatch.setattr(workflows, "start_settlement", settle)
    monkeypatch.setattr(phoning, "apart", shared)
    await upgrade(database_url)
    database = Database(database_url, Vault([fresh_encryption_key()]))
    async with database.transaction() as session:
        session.add(UserRow(id="user_1", email="a@example.com", password_hash="x"))
    yield database
    await database.close()


async def written(database: Database, age: float, **values: Any) -> str:
    """A call that is so many seconds old."""
    wanted: dict[str, Any] = {"call_type": "phone_call", "direction": "outbound", "to_number": "+14155550123"}
    wanted["sip_trunk_id"] = "trunk_1"
    async with database.transaction() as session:
        call = CallRow(owner_id="user_1", created_at=now() - timedelta(seconds=age), **(wanted | values))
        session.add(call)
        return call.id


async def unanswered(database: Database, age: float, **values: Any) -> str:
    """One that was ordered so many seconds ago, and no more is known."""
    ordered: dict[str, Any] = {"dialled_at": now() - timedelta(seconds=age), "dialler": "w1"}
    return await written(database, age, **(ordered | values))


async def became(database: Database, call_id: str) -> tuple[str, str | None]:
    """How a call ended, and its worker."""
    async with database.transaction(writes=False) as session:
        call = await session.get_one(CallRow, call_id)
        return outcome_of(call) if call.is_over else call.status, call.worker_id


async def test_a_call_is_given_up_only_after_its_own_time_to_ring(database: Database) -> None:
    ages: dict[str, tuple[int, dict[str, Any]]] = {
        "short and over": (40, {"ring_seconds": 5}),
        "short and ringing": (30, {"ring_seconds": 5}),
        "long and ringing": (150, {"ring_seconds": 180}),
        "long and over": (220, {"ring_seconds": 180}),
        "as ever and ringing": (80, {}),
        "as ever and over": (95, {}),
        "never rang and over": (95, {"status": "pending"}),
        "dialled a moment ago": (900, {"dialled_at": now(), "status": "pending"}),
        "talked with": (900, {"attempt": 1, "status": "in_progress"}),
        "asked of livekit-sip and over": (95, {"room_name": "phone_1"}),
        "came in and over": (95, {"status": "pending", "direction": "inbound"}),
        "with nobody yet": (95, {"status": "pending", "worker_id": None}),
    }
    ids = {
        name: await written(database, age, **({"status": "ringing", "worker_id": "w1"} | more))
        for name, (age, more) in ages.items()
    }
    await placing.lose_untold(database, now() - timedelta(seconds=25))
    await placing.lose_untold(database, LONG_AGO)
    await placing.lose_untold(database, LONG_AGO)
    ended = {}
    for name, call_id in ids.items():
        outcome, _ = await became(database, call_id)
        if outcome not in RUNNING:
            ended[name] = outcome
    assert ended == {
        "short and over": "failed",
        "long and over": "failed",
        "as ever and over": "failed",
        "never rang and over": "unsure",
        "asked of livekit-sip and over": "unsure",
        "came in and over": "failed",
    }


async def test_nothing_is_given_up_before_an_exchange_could_tell_of_it(database: Database) -> None:
    ringing = await written(database, 900, status="ringing", worker_id="w1")
    await placing.lose_untold(database, now() - timedelta(seconds=25))
    assert await became(database, ringing) == ("ringing", "w1"), "the api itself was away"
    await placing.lose_untold(database, now() - timedelta(seconds=35))
    assert await became(database, ringing) == ("failed", "w1")


async def test_what_came_of_an_order_is_found_out_when_whoever_gave_it_is_gone(database: Database) -> None:
    line = Line()
    cases: dict[str, tuple[float, dict[str, Any], tuple[str, str | None]]] = {
        "lost": (10, {"dialler_journal": "nobody was called"}, ("not_dialled", None)),
        "obeyed": (10, {"dialler_journal": "somebody was"}, ("pending", "w1")),
        "forgotten": (10, {"dialler_journal": "gone"}, ("unsure", None)),
        "not yet back": (110, {"dialler_journal": "away"}, ("pending", None)),
        "never back": (130, {"dialler_journal": "away"}, ("unsure", None)),
        "waited for": (5, {"dialler_journal": "nobody was called"}, ("pending", None)),
        "told of": (10, {"dialler_journal": "gone", "worker_id": "w1"}, ("pending", "w1")),
        "over": (10, {"dialler_journal": "gone", "status": "busy", "ended_at": now()}, ("busy", None)),
        "not dialled": (10, {"dialled_at": None, "dialler": None}, ("pending", None)),
    }
    ids = {name: await unanswered(database, age, **more) for name, (age, more, _) in cases.items()}
    await placing.settle_unanswered(database, line, LONG_AGO)
    assert {name: await became(database, call_id) for name, call_id in ids.items()} == {
        name: expected for name, (_, _, expected) in cases.items()
    }
    asked = {"lost", "obeyed", "forgotten", "not yet back", "never back"}
    assert {name for name, call_id in ids.items() if call_id in line.withdrawn} == asked
    again = await unanswered(database, 900, dialler_journal="away")
    await placing.settle_unanswered(database, line, now() - timedelta(seconds=60))
    assert await became(database, again) == ("pending", None), "the api itself was away"


async def test_livekit_sip_was_asked_to_call_nobody_before_a_room_had_a_name(database: Database) -> None:
    nothing: Any = None
    phones = LiveKitPhones(nothing, database, nothing, nothing, nothing, nothing)
    asked = {"dialler": "livekit-sip"}
    lost = await unanswered(database, 10, **asked)
    maybe = await unanswered(database, 10, room_name="phone_1", **asked)
    before_the_setting = await unanswered(database, 10, dialler="w1")
    await placing.settle_unanswered(database, phones, LONG_AGO)
    ids = (lost, maybe, before_the_setting)
    assert [(await became(database, call_id))[0] for call_id in ids] == ["not_dialled", "unsure", "pending"]


async def test_an_order_that_was_answered_while_it_was_withdrawn_stays_as_it_was_told(
    database: Database,
) -> None:
    call_id = await unanswered(database, 10, dialler_journal="nobody was called")

    class Busy(Line):
        async def withdraw(self, dialler: Dialler, call_id: str) -> bool:
            async with database.transaction() as session:
                (await session.get_one(CallRow, call_id)).worker_id = "w1"
            return True

    await placing.settle_unanswered(database, Busy(), LONG_AGO)
    assert await became(database, call_id) == ("pending", "w1")


@pytest.mark.parametrize(
    ("dials", "expected", "ordered"),
    [
        ({"w1": None, "w2": None}, ("pending", "w1"), ["w1"]),
        ({"w1": NeverSent(), "w2": None}, ("pending", "w2"), ["w1", "w2"]),
        ({"w1": NeverSent(), "w2": NeverSent()}, ("not_dialled", None), ["w1", "w2"]),
        ({"w1": PhonesUnavailable("no"), "w2": None}, ("not_dialled", None), ["w1"]),
        ({"w1": Unanswered(), "w2": None}, ("pending", None), ["w1"]),
        ({}, ("pending", None), []),
    ],
)
async def test_a_call_is_ordered_once_and_of_another_only_where_that_order_never_left(
    database: Database,
    dials: dict[str, PhonesUnavailable | None],
    expected: tuple[str, str | None],
    ordered: list[str],
) -> None:
    line, call_id = Line(**dials), await written(database, 1)
    await asyncio.gather(*(placing.place(database, line, call_id) for _ in range(3)))
    await placing.place_waiting(database, line, LONG_AGO)
    assert await became(database, call_id) == expected
    assert [name for name, _ in line.orders] == ordered
    async with database.transaction(writes=False) as session:
        call = await session.get_one(CallRow, call_id)
    assert (call.dialler, call.dialled_at is not None) == (ordered[-1] if ordered else None, bool(ordered))


async def test_what_waited_too_long_to_be_dialled_is_not_dialled_any_more(database: Database) -> None:
    late, soon = await written(database, 130), await written(database, 100)
    line = Line(w1=None)
    await placing.place_waiting(database, line, LONG_AGO)
    assert line.orders == [("w1", soon)]
    assert await became(database, late) == ("not_dialled", None)


async def test_a_line_that_is_gone_for_a_moment_is_waited_for(database: Database) -> None:
    ids = [await written(database, age) for age in (10, 20)]
    await placing.place_waiting(database, Line(), now() - timedelta(seconds=10))
    assert [await became(database, call_id) for call_id in ids] == [("pending", None)] * 2
    await placing.place_waiting(database, Line(), LONG_AGO)
    assert [await became(database, call_id) for call_id in ids] == [("pending", None), ("not_dialled", None)]


async def test_calls_that_cannot_be_ordered_keep_nobody_waiting(database: Database) -> None:
    wrong = [await written(database, 60, ring_seconds=1000) for _ in range(placing.MOST_AT_ONCE)]
    right, line = await written(database, 50), Line(w1=None)
    for _ in range(3):
        await placing.place_waiting(database, line, LONG_AGO)
    assert line.orders == [("w1", right)]
    async with database.transaction() as session:
        waiting = (await session.exec(select(StuckRow))).all()
        assert {(row.kind, row.key, row.tries) for row in waiting} == {("dialling", id_, 1) for id_ in wrong}
        for row in waiting:
            row.try_at = now()
        for call_id in wrong:
            (await session.get_one(CallRow, call_id)).created_at -= timedelta(seconds=100)
    await placing.place_waiting(database, line, LONG_AGO)
    assert {await became(database, call_id) for call_id in wrong} == {("not_dialled", None)}
    async with database.transaction(writes=False) as session:
        assert (await session.exec(select(StuckRow))).all() == []
