"""Looks at a campaign: the pace, who is called again, what holds it up, an end that is told once."""

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import select, update

from api.calls import service as calls
from api.calls.table import CallRow
from api.campaigns import dialling, results
from api.campaigns.table import CampaignRow
from api.db.columns import now
from api.db.engine import Database
from api.http.errors import ApiError, PaymentRequired
from api.phone_numbers.routing import NoNumber
from api.webhooks import service as webhooks
from api.webhooks.table import WebhookEventRow
from tests.support.campaigning import Line, campaign, database, kept, line, look, pass_time, people, statuses

__all__ = ["database", "line"]


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
        "+905320000046": {"status": "failed", "disconnection_reason": "unsure: it is gone"},
    }
    line.ends = ends
    row = await campaign(database, list(ends), retry_count=1, retry_on=["voicemail", "failed"])
    for _ in range(40):
        await look(database, row)
        await pass_time(database, row, minutes=10)
    most = 1 + dialling.MOST_UNDIALLED
    dialled = Counter(call.to_number for call in line.dialled)
    assert [dialled[number] for number in ends] == [2, 1, 1, 1, most, 2, 1]
    async with database.transaction(writes=False) as session:
        told = await results.results(session, await session.get_one(CampaignRow, row.id))
    assert told.outcomes == {
        "voicemail": 1,
        "message_left": 1,
        "rejected": 1,
        "invalid_number": 1,
        "not_dialled": 1,
        "failed": 1,
        "unsure": 1,
    }
    assert await statuses(database, row) == ["failed", "completed", *["failed"] * 5]
    assert told.total_attempts == 9, "what never left the house is no attempt but the last one"


async def test_who_may_have_been_called_is_called_again_only_where_that_is_asked_for(
    database: Database, line: Line
) -> None:
    number = "+905320000046"
    line.ends = {number: {"status": "failed", "disconnection_reason": "unsure: it is gone"}}
    everything_else = ["no_answer", "busy", "failed", "voicemail", "rejected"]
    for retry_on, times in ((everything_else, 1), (["unsure"], 2)):
        row = await campaign(database, [number], retry_count=1, retry_on=retry_on)
        for _ in range(6):
            await look(database, row)
            await pass_time(database, row, minutes=10)
        assert len(line.dialled) == times
        async with database.transaction(writes=False) as session:
            (person,) = await people(session, row)
        assert (person.outcome, person.reason) == ("unsure", "unsure: it is gone")
        line.dialled.clear()


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
