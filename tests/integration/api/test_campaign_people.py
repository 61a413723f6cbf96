"""Whom a campaign calls, at which hours of theirs and how often; and what its agent knows of them."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlmodel import select

from api.calls.table import CallRow
from api.campaigns import dialling, results
from api.campaigns.table import CampaignRow
from api.contacts.table import ContactRow, DoNotCallRow
from api.db.columns import now
from api.db.engine import Database
from tests.support.campaigning import Line, campaign, database, line, look, pass_time, people, statuses

__all__ = ["database", "line"]


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


async def test_people_are_called_when_it_is_day_where_their_numbers_are(
    database: Database, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    new_york, los_angeles, london, tokyo = "+12125551000", "+13105551000", "+442079460000", "+81312345678"
    anywhere_in_america, moved_to_tokyo = "+18002530000", "+12125551001"
    numbers = [new_york, los_angeles, london, tokyo, anywhere_in_america, moved_to_tokyo]
    row = await campaign(
        database,
        numbers,
        calling_hours={"start": "09:00", "end": "20:00"},
        max_concurrent=20,
    )
    async with database.transaction() as session:
        session.add(ContactRow(owner_id="user_1", phone_number=moved_to_tokyo, timezone="Asia/Tokyo"))

    async def called_at(moment: str, looks: int = 8) -> set[str]:
        line.dialled.clear()
        at = datetime.fromisoformat(moment).replace(tzinfo=UTC)
        for _ in range(looks):
            monkeypatch.setattr(dialling, "now", lambda at=at: at)
            await look(database, row)
            at += timedelta(seconds=2)
        return {call.to_number for call in line.dialled}

    ten_in_new_york = "2027-01-06T15:00"
    monkeypatch.setattr(results, "now", lambda: datetime.fromisoformat(ten_in_new_york).replace(tzinfo=UTC))
    async with database.transaction(writes=False) as session:
        told = await results.preview(session, await session.get_one(CampaignRow, row.id))
    assert (told.callable_now, told.callable_later) == (2, 4)
    assert await called_at("2027-01-06T12:00") == {london}
    assert await called_at("2027-01-06T13:59") == set()
    assert await called_at("2027-01-06T14:00") == {new_york}
    async with database.transaction(writes=False) as session:
        due = {one.phone_number: one.due_at for one in await people(session, row)}
    assert due[los_angeles] == datetime(2027, 1, 6, 17, tzinfo=UTC)
    assert due[tokyo] == due[moved_to_tokyo] == datetime(2027, 1, 7, tzinfo=UTC)
    assert await called_at("2027-01-06T17:00") == {los_angeles}
    assert await called_at("2027-01-06T23:00") == {anywhere_in_america}, "nine in Guam, eighteen in New York"
    assert await called_at("2027-01-07T00:00") == {tokyo, moved_to_tokyo}


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
