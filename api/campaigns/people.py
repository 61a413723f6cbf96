"""The people of a draft: given one by one or in a file, five hundred at a time into the database."""

import asyncio
from collections.abc import Iterator, Sequence
from itertools import islice

from sqlmodel import col, delete, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.campaigns import service
from api.campaigns.schemas import PeopleGiven, PeopleKept, PersonQuery
from api.campaigns.service import WrongState
from api.campaigns.table import DRAFT, PENDING, CampaignContactRow, CampaignRow
from api.contacts.importing import MAX_WARNINGS
from api.contacts.schemas import UploadWarning
from api.db.columns import now
from api.db.engine import Database
from api.db.inserts import insert_many
from api.http import sheets
from api.http.callers import Caller
from api.http.errors import Conflict
from api.http.sheets import Person, Unread

AT_ONCE = 1000
MAX_PEOPLE = 500_000
MAX_COLUMNS = 200


class TooManyPeople(Conflict):
    """A campaign has 500,000 contacts at most"""


async def page(
    session: AsyncSession, row: CampaignRow, query: PersonQuery
) -> tuple[Sequence[CampaignContactRow], int]:
    """A page of a campaign's people in their order, and how many there are."""
    asked = [col(CampaignContactRow.campaign_id) == row.id]
    if query.status:
        asked.append(col(CampaignContactRow.status) == query.status)
    total = await session.exec(select(func.count()).select_from(CampaignContactRow).where(*asked))
    found = await session.exec(
        select(CampaignContactRow)
        .where(*asked)
        .order_by(col(CampaignContactRow.position), col(CampaignContactRow.phone_number))
        .limit(query.limit)
        .offset(query.offset)
    )
    return found.all(), total.one()


async def add(session: AsyncSession, caller: Caller, campaign_id: str, given: PeopleGiven) -> PeopleKept:
    """Add people to a draft; a number that is in it stays as it is."""
    people = [Person(0, one.phone_number, one.name, one.variables) for one in given.contacts]
    inserted, total = await _keep(session, caller.owner_id, campaign_id, people)
    return PeopleKept(inserted=inserted, skipped=len(people) - inserted, total_contacts=total)


async def upload(database: Database, owner_id: str, campaign_id: str, raw: bytes) -> PeopleKept:
    """Add everybody in a sheet to a draft.

    Each piece is a transaction of its own, so that nobody waits long for the database; should the process
    die, the same file can be sent again, since a number is kept once.
    """
    await asyncio.to_thread(sheets.check, raw)
    lines = sheets.people(raw)
    done = PeopleKept(inserted=0, skipped=0, total_contacts=0)
    is_first = True
    while (piece := await asyncio.to_thread(_next, lines)) or is_first:
        is_first = False
        people = [line for line in piece if isinstance(line, Person)]
        for line in piece:
            if isinstance(line, Unread) and len(done.warnings) < MAX_WARNINGS:
                done.warnings.append(UploadWarning(line=line.line, reason=line.reason))
        async with database.transaction() as session:
            inserted, done.total_contacts = await _keep(session, owner_id, campaign_id, people)
        done.inserted += inserted
        done.skipped += len(piece) - inserted
    return done


async def clear(session: AsyncSession, caller: Caller, campaign_id: str) -> int:
    """Take everybody out of a draft; returns how many."""
    row = await _draft(session, caller.owner_id, campaign_id)
    count = await _count(session, row)
    await session.exec(delete(CampaignContactRow).where(col(CampaignContactRow.campaign_id) == row.id))
    row.columns, row.updated_at = [], now()
    session.add(row)
    return count


def _next(lines: Iterator[Person | Unread]) -> list[Person | Unread]:
    return list(islice(lines, AT_ONCE))


async def _keep(
    session: AsyncSession, owner_id: str, campaign_id: str, people: Sequence[Person]
) -> tuple[int, int]:
    """Write one piece; returns how many of it are new, and how many there are now."""
    row = await _draft(session, owner_id, campaign_id)
    before, at = await _count(session, row), now()
    if before + len(people) > MAX_PEOPLE:
        raise TooManyPeople
    rows = [
        {
            "campaign_id": row.id,
            "phone_number": person.number,
            "name": person.name,
            "variables": person.variables,
            "position": before + place,
            "status": PENDING,
            "attempts": 0,
            "due_at": at,
        }
        for place, person in enumerate(people)
    ]
    await insert_many(session, CampaignContactRow, rows)
    columns = dict.fromkeys([*row.columns, *(name for person in people for name in person.variables)])
    row.columns, row.updated_at = list(columns)[:MAX_COLUMNS], at
    session.add(row)
    total = await _count(session, row)
    return total - before, total


async def _draft(session: AsyncSession, owner_id: str, campaign_id: str) -> CampaignRow:
    row = await service.get(session, owner_id, campaign_id)
    if row.status != DRAFT:
        raise WrongState("People can be added and removed only while the campaign is a draft")
    return row


async def _count(session: AsyncSession, row: CampaignRow) -> int:
    counted = await session.exec(
        select(func.count()).select_from(CampaignContactRow).where(CampaignContactRow.campaign_id == row.id)
    )
    return counted.one()
