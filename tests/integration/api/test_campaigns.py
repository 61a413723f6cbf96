"""Looks at a campaign: the pace, who is skipped, who is called again, an end that is told once."""

from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from sqlmodel import select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from api.agents.table import AgentRow
from api.calls import service as calls
from api.calls.schemas import OutboundCall
from api.calls.table import CallRow
from api.campaigns import dialling, results
from api.campaigns.table import CampaignContactRow, CampaignRow
from api.contacts.table import ContactRow, DoNotCallRow
from api.db import migrate
from api.db.columns import now
from api.db.engine import Database
from api.db.vault import Vault
from api.durable import engine
from api.http.callers import Caller
from api.http.errors import ApiError, PaymentRequired
from api.phone_numbers.routing import NoNumber
from api.secret_keys import fresh_encryption_key
from api.telephone_settings import Tolls
from api.users.table import UserRow
from api.webhooks import service as webhooks
from api.webhooks.table import WebhookEventRow

STATUS = {"1": "no_answer", "2": "busy", "3": "failed", "9": "in_progress"}
CAMPAIGN = {"agent_id": "agent_1", "name": "Fair", "status": "running", "beat": 1}


class Line:
    """A phone line that writes calls down; a call's end is the last digit of its number."""

    def __init__(self) -> None:
        self.fails_with: ApiError | None = None
        self.dialled: list[OutboundCall] = []
        self.ends: dict[str, dict[str, Any]] = {}
        """What a call to a number has besides its status."""

    async def dial(self, session: AsyncSession, caller: Caller, wanted: OutboundCall) -> CallRow:
        """As `calls.service.dial`."""
        row = CallRow(owner_id=caller.owner_id, agent_id=wanted.agent_id, to_number=wanted.to_number)
        row.direction, row.status = "outbound", STATUS.get(wanted.to_number[-1], "completed")
        for name, value in self.ends.get(wanted.to_number, {}).items():
            setattr(row, name, value)
        session.add(row)
        await session.flush()
        if self.fails_with is not None:
            raise self.fails_with
        self.dialled.append(wanted)
        return row


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> Line:
    """In place of the one that is not there."""
    line = Line()
    monkeypatch.setattr(calls, "dial", line.dial)
    rules = SimpleNamespace(tolls=Tolls(blocked_prefixes=("+90533",)))
    monkeypatch.setattr(engine, "reach", lambda: rules)
    return line


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """With an owner."""
    await migrate.upgrade(database_url)
    database = Database(database_url, Vault([fresh_encryption_key()]))
    async with database.transaction() as session:
        session.add(UserRow(id="user_1", email="owner@example.com", password_hash="x"))
        await session.flush()
        session.add(AgentRow(id="agent_1", owner_id="user_1", name="A", config={}))
    yield database
    await database.close()


async def campaign(database: Database, numbers: list[str], **values: Any) -> CampaignRow:
    """A running campaign with these people."""
    row = CampaignRow(owner_id="user_1", **{**CAMPAIGN, "beat_at": now(), "calls_per_minute": 60, **values})
    async with database.transaction() as session:
        session.add(row)
        await session.flush()
        for position, number in enumerate(numbers):
            person = CampaignContactRow(campaign_id=row.id, phone_number=number, position=position)
            session.add(person)
    return row


async def look(database: Database, row: CampaignRow, *, then: int | None = None) -> float | None:
    """The look that is due; the seconds to the next."""
    async with database.transaction() as session:
        kept = await session.get_one(CampaignRow, row.id)
        following = await dialling.look(session, row.id, kept.beat if then is None else then)
        return None if following is None else following.delay_seconds


async def pass_time(database: Database, row: CampaignRow, **ago: float) -> None:
    """As if what was dialled and what is due were earlier."""
    async with database.transaction() as session:
        for person in await people(session, row):
            person.due_at -= timedelta(**ago)
            if person.dialled_at is not None:
                person.dialled_at -= timedelta(**ago)
            session.add(person)


async def people(session: AsyncSession, row: CampaignRow) -> list[CampaignContactRow]:
    """Everybody, in order."""
    found = await session.exec(
        select(CampaignContactRow)
        .where(CampaignContactRow.campaign_id == row.id)
        .order_by(CampaignContactRow.position)  # type: ignore[arg-type]
    )
    return list(found.all())


async def statuses(database: Database, row: CampaignRow) -> list[str]:
    """Where everybody stands."""
    async with database.transaction(writes=False) as session:
        return [person.status for person in await people(session, row)]


async def kept(database: Database, row: CampaignRow) -> CampaignRow:
    """The campaign as it is now."""
    async with database.transaction(writes=False) as session:
        return await session.get_one(CampaignRow, row.id)


async def test_calls_are_spread_over_the_minute(database: Database, line: Line) -> None:
    row = await campaign(database, [f"+9053200000{n}0" for n in range(3)], calls_per_minute=20)
    await look(database, row)
    delay = await look(database, row)
    assert len(line.dialled) == 1, "the next one is due three seconds later"
    assert delay is not None
    assert 1 < delay <= 3
    await pass_time(database, row, seconds=3)
    await look(database, row)
    assert len(line.dialled) == 2


async def test_no_more_calls_at_once_than_asked_for(database: Database, line: Line) -> None:
    row = await campaign(database, [f"+9053200000{n}9" for n in range(4)], max_concurrent=2)
    for _ in range(4):
        await look(database, row)
        await pass_time(database, row, minutes=1)
    assert await statuses(database, row) == ["calling", "calling", "pending", "pending"]
    async with database.transaction() as session:
        await session.exec(update(CallRow).values(status="completed"))
    await look(database, row)
    assert await statuses(database, row) == ["completed", "completed", "calling", "pending"]


async def test_a_look_is_made_once(database: Database, line: Line) -> None:
    row = await campaign(database, ["+905320000009", "+905320000019"])
    await look(database, row, then=1)
    await pass_time(database, row, minutes=1)
    assert await look(database, row, then=1) is not None, "what follows is told again"
    assert len(line.dialled) == 1
    assert await look(database, row, then=7) is None


async def test_who_did_not_answer_is_called_again_and_a_failure_is_kept(
    database: Database, line: Line
) -> None:
    numbers = ["+905320000001", "+905320000002", "+905320000003", "+905320000004"]
    row = await campaign(database, numbers, retry_count=1, retry_on=["no_answer", "busy"])
    for _ in range(12):
        await look(database, row)
        await pass_time(database, row, minutes=10)
    assert Counter(call.to_number for call in line.dialled) == {
        "+905320000001": 2,
        "+905320000002": 2,
        "+905320000003": 1,
        "+905320000004": 1,
    }
    assert await statuses(database, row) == ["failed", "failed", "failed", "completed"]
    done = await kept(database, row)
    assert (done.status, done.beat_at) == ("completed", None)
    assert done.completed_at is not None


async def test_a_call_is_judged_by_what_answered_it_and_by_the_carriers_word(
    database: Database, line: Line
) -> None:
    ends: dict[str, dict[str, Any]] = {
        "+905320000040": {"status": "ended", "disconnection_reason": "voicemail"},
        "+905320000041": {"status": "completed", "disconnection_reason": "voicemail_message_left"},
        "+905320000042": {"status": "failed", "sip_code": 603, "disconnection_reason": "sip_603: Decline"},
        "+905320000043": {"status": "failed", "sip_code": 404, "disconnection_reason": "sip_404: Not Found"},
        "+905320000044": {"status": "failed", "disconnection_reason": "not_dialled: no phone line"},
        "+905320000045": {"status": "failed", "sip_code": 500, "disconnection_reason": "sip_500"},
    }
    line.ends = ends
    row = await campaign(database, list(ends), retry_count=1, retry_on=["voicemail", "failed"])
    for _ in range(40):
        await look(database, row)
        await pass_time(database, row, minutes=10)
    most = 1 + dialling.MOST_UNDIALLED
    dialled = Counter(call.to_number for call in line.dialled)
    assert [dialled[number] for number in ends] == [2, 1, 1, 1, most, 2]
    async with database.transaction(writes=False) as session:
        told = await results.results(session, await session.get_one(CampaignRow, row.id))
    assert told.outcomes == {
        "voicemail": 1,
        "message_left": 1,
        "rejected": 1,
        "invalid_number": 1,
        "not_dialled": 1,
        "failed": 1,
    }
    assert await statuses(database, row) == ["failed", "completed", "failed", "failed", "failed", "failed"]
    assert told.total_attempts == 8, "what never left the house is no attempt but the last one"


async def test_nobody_is_called_more_often_in_a_day_than_allowed(database: Database, line: Line) -> None:
    number = "+905320000001"
    async with database.transaction() as session:
        for hours in (30, 20, 3):
            row = CallRow(owner_id="user_1", to_number=number, direction="outbound", status="no_answer")
            row.created_at = now() - timedelta(hours=hours)
            session.add(row)
    often = await campaign(database, [number], max_daily_per_number=2)
    await look(database, often)
    assert line.dialled == []
    async with database.transaction(writes=False) as session:
        (person,) = await people(session, often)
        told = await results.preview(session, await session.get_one(CampaignRow, often.id))
    assert person.reason == "called as often as allowed today"
    assert abs(person.due_at - now() - timedelta(hours=4)) < timedelta(minutes=1)
    assert (told.callable_now, told.callable_later) == (0, 1)
    await pass_time(database, often, minutes=5 * 60)
    async with database.transaction() as session:
        for call in (await session.exec(select(CallRow))).all():
            call.created_at -= timedelta(hours=5)
            session.add(call)
    await look(database, often)
    assert len(line.dialled) == 1


async def test_a_retry_waits_for_its_delay(database: Database, line: Line) -> None:
    row = await campaign(database, ["+905320000001"], retry_count=1, retry_on=["no_answer"])
    await look(database, row)
    await look(database, row)
    await pass_time(database, row, minutes=4)
    await look(database, row)
    assert len(line.dialled) == 1
    await pass_time(database, row, minutes=2)
    await look(database, row)
    assert len(line.dialled) == 2


async def test_who_must_not_be_called_is_not(database: Database, line: Line) -> None:
    numbers = ["+905320000004", "+905320000005", "+15550100200", "+905320000006", "+905330000006"]
    row = await campaign(database, numbers)
    async with database.transaction() as session:
        session.add(DoNotCallRow(owner_id="user_1", phone_number=numbers[0]))
        session.add(ContactRow(owner_id="user_1", phone_number=numbers[1], consent="denied"))
    async with database.transaction(writes=False) as session:
        told = await results.preview(session, await session.get_one(CampaignRow, row.id))
    assert told.skipped == {
        "do_not_call": 1,
        "consent_denied": 1,
        "invalid_number": 1,
        "destination_refused": 1,
    }
    assert (told.total, told.callable_now, told.callable_later) == (5, 1, 0)
    assert told.problems == [
        "This agent has no number to call from: bind one to it, or name one in from_number"
    ]
    await look(database, row)
    assert [call.to_number for call in line.dialled] == ["+905320000006"]
    assert await statuses(database, row) == ["skipped", "skipped", "skipped", "calling", "skipped"]


async def test_consent_can_be_asked_for(database: Database, line: Line) -> None:
    numbers = ["+905320000004", "+905320000005", "+905320000006"]
    row = await campaign(database, numbers, consent_required=True)
    async with database.transaction() as session:
        session.add(ContactRow(owner_id="user_1", phone_number=numbers[1], consent="granted"))
        session.add(ContactRow(owner_id="user_1", phone_number=numbers[2]))
    await look(database, row)
    assert await statuses(database, row) == ["skipped", "calling", "skipped"]


async def test_people_are_called_when_it_is_day_where_they_are(database: Database, line: Line) -> None:
    here, there = now(), now() + timedelta(hours=12)
    hours = {
        "start": (here - timedelta(minutes=30)).strftime("%H:%M"),
        "end": (here + timedelta(minutes=29)).strftime("%H:%M"),
    }
    if hours["start"] >= hours["end"]:
        hours = {"start": "00:00", "end": "23:59"}  # around midnight UTC
    row = await campaign(database, ["+905320000004", "+905320000005"], calling_hours=hours)
    async with database.transaction() as session:
        first, second = await people(session, row)
        first.variables, second.variables = {"timezone": "Etc/UTC"}, {"timezone": "Etc/GMT-12"}
    await look(database, row)
    if hours["start"] != "00:00":
        assert await statuses(database, row) == ["calling", "pending"]
        async with database.transaction(writes=False) as session:
            _, second = await people(session, row)
        assert second.reason == "outside of calling hours"
        assert abs(second.due_at + timedelta(minutes=30) - there) < timedelta(minutes=2)


async def test_a_line_that_is_gone_holds_the_campaign_and_costs_no_attempt(
    database: Database, line: Line
) -> None:
    line.fails_with = calls.NoPhoneLine()
    row = await campaign(database, ["+905320000004"])
    assert await look(database, row) == dialling.NO_LINE_SECONDS
    held = await kept(database, row)
    assert (held.status, held.problem) == ("running", str(calls.NoPhoneLine()))
    async with database.transaction(writes=False) as session:
        (person,) = await people(session, row)
        assert (person.status, person.attempts, person.call_id) == ("pending", 0, None)
        assert (await session.exec(select(CallRow))).all() == [], "what the refused call wrote is gone"
    line.fails_with = None
    await look(database, row)
    assert (await kept(database, row)).problem is None
    assert len(line.dialled) == 1


@pytest.mark.parametrize("error", [PaymentRequired(), NoNumber()])
async def test_what_stops_everybody_pauses_the_campaign(
    database: Database, line: Line, error: ApiError
) -> None:
    line.fails_with = error
    row = await campaign(database, ["+905320000004"])
    assert await look(database, row) is None
    paused = await kept(database, row)
    assert (paused.status, paused.problem) == ("paused", str(error))
    assert await statuses(database, row) == ["pending"]


async def test_a_paused_campaign_calls_nobody_and_hears_how_its_calls_end(
    database: Database, line: Line
) -> None:
    row = await campaign(database, ["+905320000009", "+905320000019"])
    await look(database, row)
    async with database.transaction() as session:
        (await session.get_one(CampaignRow, row.id)).status = "paused"
    await pass_time(database, row, minutes=1)
    assert await look(database, row) == dialling.WATCH_SECONDS
    async with database.transaction() as session:
        await session.exec(update(CallRow).values(status="completed"))
    assert await look(database, row) is None
    assert await statuses(database, row) == ["completed", "pending"]
    assert len(line.dialled) == 1


async def test_a_campaign_that_reaches_nobody_pauses_itself(database: Database, line: Line) -> None:
    numbers = [f"+905320000{n:02}3" for n in range(40)]
    row = await campaign(database, numbers, running_since=now() - timedelta(hours=1))
    for _ in range(30):
        await look(database, row)
        await pass_time(database, row, seconds=1)
    held = await kept(database, row)
    assert (held.status, held.problem) == ("paused", "Nobody was reached by the last 20 calls")
    assert len(line.dialled) == dialling.COLLAPSE_AFTER
    async with database.transaction() as session:
        again = await session.get_one(CampaignRow, row.id)
        again.status, again.beat_at, again.running_since = "running", now(), now()
        for person in await people(session, row):
            if person.dialled_at is not None:
                person.dialled_at -= timedelta(hours=1)
    await look(database, row)
    await pass_time(database, row, seconds=1)
    await look(database, row)
    assert len(line.dialled) == dialling.COLLAPSE_AFTER + 2, "what was before is not held against it"


async def test_an_end_is_told_once(database: Database, line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    async def start(*_: Any) -> None:
        """Nobody delivers here."""

    monkeypatch.setattr(webhooks.workflows, "start", start)
    async with database.transaction() as session:
        await webhooks.create(session, "user_1", url="https://hooks.example.com/a")
    row = await campaign(database, ["+905320000004"], started_at=now())
    for _ in range(4):
        await look(database, row)
        await pass_time(database, row, minutes=1)
    async with database.transaction(writes=False) as session:
        (event,) = (await session.exec(select(WebhookEventRow))).all()
    assert event.type == "campaign.completed"
    assert '"contacts":{"completed":1}' in event.body


async def test_columns_reach_the_agent_under_their_names(database: Database, line: Line) -> None:
    row = await campaign(database, ["+905320000004"], variable_mapping={"ürün": "product", "none": "x"})
    async with database.transaction() as session:
        (person,) = await people(session, row)
        person.name, person.variables = "Ada", {"ürün": "mill"}
    await look(database, row)
    assert line.dialled[0].dynamic_variables == {
        "contact_name": "Ada",
        "name": "Ada",
        "ürün": "mill",
        "product": "mill",
    }


async def test_a_long_list_of_people_who_are_skipped_is_gone_through_at_once(
    database: Database, line: Line
) -> None:
    numbers = [f"+1555010{n:04}" for n in range(dialling.EXAMINED)]
    row = await campaign(database, [*numbers, "+905320000004"])
    assert await look(database, row) == 0.0
    await look(database, row)
    assert [call.to_number for call in line.dialled] == ["+905320000004"]
