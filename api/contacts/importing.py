"""Contacts out of a file, some hundred at a time, so that nobody else waits long for the database."""

import asyncio
from collections.abc import Iterator
from itertools import islice

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.contacts.schemas import ContactsUploaded, UploadQuery, UploadWarning
from api.contacts.table import ContactRow, ContactTagRow
from api.db.columns import fields_of, new_id, now
from api.db.engine import Database
from api.db.inserts import insert_many
from api.http import sheets
from api.http.sheets import Person, Unread

AT_ONCE = 500
MAX_WARNINGS = 100


async def keep_people(database: Database, owner_id: str, raw: bytes, common: UploadQuery) -> ContactsUploaded:
    """Keep everybody in a sheet; who is known already gets what the sheet says, and loses nothing.

    Each piece is a transaction of its own: should the process die, the same file can be sent again.
    """
    await asyncio.to_thread(sheets.check, raw)
    lines, done = sheets.people(raw), ContactsUploaded(inserted=0, updated=0, skipped=0, warnings=[])
    while piece := await asyncio.to_thread(_next, lines):
        people: dict[str, Person] = {}
        for line in piece:
            if isinstance(line, Person) and line.number not in people:
                people[line.number] = line
                continue
            done.skipped += 1
            if len(done.warnings) < MAX_WARNINGS:
                reason = line.reason if isinstance(line, Unread) else "the number stands in the file twice"
                done.warnings.append(UploadWarning(line=line.line, reason=reason))
        async with database.transaction() as session:
            updated = await _keep(session, owner_id, people, common)
        done.updated += updated
        done.inserted += len(people) - updated
    return done


def _next(lines: Iterator[Person | Unread]) -> list[Person | Unread]:
    return list(islice(lines, AT_ONCE))


async def _keep(session: AsyncSession, owner_id: str, people: dict[str, Person], common: UploadQuery) -> int:
    """Write one piece; returns how many of it were known already."""
    found = await session.exec(
        select(ContactRow)
        .where(ContactRow.owner_id == owner_id, col(ContactRow.phone_number).in_(people))
        .with_for_update()
    )
    known = {row.phone_number: row for row in found.all()}
    for number, row in known.items():
        row.name = people[number].name or row.name
        row.variables = {**row.variables, **people[number].variables}
        _agree(row, common)
        row.updated_at = now()
        session.add(row)
    at = now()
    empty = ContactRow(owner_id=owner_id, phone_number="", source="csv", created_at=at, updated_at=at)
    _agree(empty, common)
    shared = fields_of(empty)
    await session.flush()
    await insert_many(
        session,
        ContactRow,
        [
            {
                **shared,
                "id": new_id("contact"),
                "phone_number": person.number,
                "name": person.name,
                "variables": person.variables,
            }
            for number, person in people.items()
            if number not in known
        ],
    )
    if common.tag:
        ids = await session.exec(
            select(ContactRow.id).where(
                ContactRow.owner_id == owner_id, col(ContactRow.phone_number).in_(people)
            )
        )
        tagged = [{"contact_id": id_, "tag": common.tag, "created_at": at} for id_ in ids.all()]
        await insert_many(session, ContactTagRow, tagged)
    return len(known)


def _agree(row: ContactRow, common: UploadQuery) -> None:
    if common.consent is not None and common.consent != row.consent:
        row.consent, row.consent_at = common.consent, now()
