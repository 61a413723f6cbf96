"""Rules of contacts: whose they are, how a call knows one, and who must not be called."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, bindparam, delete
from sqlalchemy import select as plain_select
from sqlmodel import col, exists, func, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api import telephone
from api.contacts.schemas import MAX_TAGS, ContactCreate, ContactQuery, ContactUpdate, DoNotCall
from api.contacts.table import UNKNOWN, ContactRow, ContactTagRow, DoNotCallRow
from api.db.columns import new_id, now
from api.db.engine import Database
from api.db.inserts import insert_new, insert_values
from api.db.lookups import Lookup
from api.http.callers import Caller
from api.http.errors import Conflict, Forbidden, NotFound
from api.http.pages import Page

IN_ONE_QUERY = 500
"""Values in one `IN (…)`: databases have a limit."""
_BARRED = Lookup(
    dict[str, str],
    plain_select(col(DoNotCallRow.phone_number)).where(
        col(DoNotCallRow.owner_id) == bindparam("owner_id"),
        col(DoNotCallRow.phone_number) == bindparam("phone_number"),
    ),
)


class ContactNotFound(NotFound):
    """Contact not found"""


class ContactExists(Conflict):
    """There is a contact with this number already"""


class NotOnTheList(NotFound):
    """This number is not on the do-not-call list"""


class MustNotCall(Forbidden):
    """This number is on your do-not-call list"""


async def create(session: AsyncSession, caller: Caller, wanted: ContactCreate) -> dict[str, Any]:
    """Somebody new: their row's columns. Below the ORM, since applications send thousands of them."""
    moment = now()
    values = wanted.model_dump(exclude={"tags"}) | {
        "id": new_id("contact"),
        "owner_id": caller.owner_id,
        "consent_at": moment if wanted.consent != UNKNOWN else None,
        "source": "api",
        "created_at": moment,
        "updated_at": moment,
    }
    if not await insert_values(session, ContactRow, values):
        raise ContactExists
    await tag(session, values["id"], wanted.tags)
    return values


async def page(session: AsyncSession, caller: Caller, query: ContactQuery) -> tuple[list[ContactRow], int]:
    """A page of the caller's contacts, newest first, and how many there are."""
    asked: list[ColumnElement[bool]] = [col(ContactRow.owner_id) == caller.owner_id]
    if query.search:
        asked.append(
            or_(
                *(
                    col(column).icontains(query.search, autoescape=True)
                    for column in (
                        ContactRow.name,
                        ContactRow.phone_number,
                        ContactRow.company,
                        ContactRow.email,
                    )
                )
            )
        )
    if query.phone_number:
        number = telephone.normal(query.phone_number) or query.phone_number
        asked.append(col(ContactRow.phone_number) == number)
    if query.consent:
        asked.append(col(ContactRow.consent) == query.consent)
    if query.tag:
        asked.append(
            exists().where(
                col(ContactTagRow.contact_id) == col(ContactRow.id), col(ContactTagRow.tag) == query.tag
            )
        )
    total = await session.exec(select(func.count()).select_from(ContactRow).where(*asked))
    found = await session.exec(
        select(ContactRow)
        .where(*asked)
        .order_by(col(ContactRow.created_at).desc(), col(ContactRow.id).desc())
        .limit(query.limit)
        .offset(query.offset)
    )
    return list(found.all()), total.one()


async def get(session: AsyncSession, owner_id: str, contact_id: str) -> ContactRow:
    """One of an owner's contacts."""
    found = await session.exec(
        select(ContactRow)
        .where(ContactRow.id == contact_id, ContactRow.owner_id == owner_id)
        .with_for_update()
    )
    if (row := found.one_or_none()) is None:
        raise ContactNotFound
    return row


async def change(
    session: AsyncSession, caller: Caller, contact_id: str, changes: ContactUpdate
) -> ContactRow:
    """Change what was sent."""
    row = await get(session, caller.owner_id, contact_id)
    sent = changes.model_dump(exclude_unset=True)
    tags = sent.pop("tags", None)
    number = sent.get("phone_number", row.phone_number)
    if number != row.phone_number and await of_number(session, caller.owner_id, number) is not None:
        raise ContactExists
    if sent.get("consent", row.consent) != row.consent:
        row.consent_at = now()
    for name, value in sent.items():
        setattr(row, name, value)
    row.updated_at = now()
    session.add(row)
    if tags is not None:
        await session.exec(delete(ContactTagRow).where(col(ContactTagRow.contact_id) == row.id))
        await tag(session, row.id, tags)
    await session.flush()
    return row


async def remove(session: AsyncSession, caller: Caller, contact_id: str) -> None:
    """Forget a contact. Their calls stay, and a number that must not be called still must not."""
    await session.delete(await get(session, caller.owner_id, contact_id))


async def of_number(session: AsyncSession, owner_id: str, number: str) -> ContactRow | None:
    """The contact who has a number."""
    found = await session.exec(
        select(ContactRow).where(ContactRow.owner_id == owner_id, ContactRow.phone_number == number)
    )
    return found.one_or_none()


async def told(session: AsyncSession, rows: Sequence[ContactRow]) -> tuple[Mapping[str, list[str]], set[str]]:
    """The tags of contacts by their ids, and which of their numbers must not be called."""
    tags: defaultdict[str, list[str]] = defaultdict(list)
    ids = [row.id for row in rows]
    for start in range(0, len(ids), IN_ONE_QUERY):
        found = await session.exec(
            select(ContactTagRow)
            .where(col(ContactTagRow.contact_id).in_(ids[start : start + IN_ONE_QUERY]))
            .order_by(col(ContactTagRow.created_at), col(ContactTagRow.tag))
        )
        for one in found.all():
            tags[one.contact_id].append(one.tag)
    barred_ = await barred(session, rows[0].owner_id, [row.phone_number for row in rows]) if rows else set()
    return tags, barred_


# ── tags ─────────────────────────────────────────────────────────────────────────────────────────
async def tag(session: AsyncSession, contact_id: str, tags: Iterable[str]) -> None:
    """Add tags to a contact; those that it has stay as they are."""
    wanted = [ContactTagRow(contact_id=contact_id, tag=text) for text in dict.fromkeys(tags)]
    await insert_new(session, ContactTagRow, wanted)


async def tag_of_call(
    session: AsyncSession, owner_id: str, contact_id: str | None, number: str | None, tags: list[str]
) -> str:
    """Tag whom a call was with; somebody with a number becomes a contact. Returns why not, else nothing."""
    row = await recognised(session, owner_id, contact_id, number)
    if row is None:
        if number is None or (known := telephone.normal(number)) is None:
            return "the call names no contact and no number"
        row = ContactRow(owner_id=owner_id, phone_number=known, source="call")
        await insert_new(session, ContactRow, [row])
        row = await of_number(session, owner_id, known)
        if row is None:
            return "the contact is gone"
    has = await session.exec(
        select(func.count()).select_from(ContactTagRow).where(ContactTagRow.contact_id == row.id)
    )
    if has.one() + len(tags) > MAX_TAGS:
        return f"the contact has {MAX_TAGS} tags already"
    await tag(session, row.id, tags)
    return ""


# ── for calls ────────────────────────────────────────────────────────────────────────────────────
async def recognised(
    session: AsyncSession, owner_id: str, contact_id: str | None, number: str | None
) -> ContactRow | None:
    """Whom a call is with: the contact it names, else whoever has the number."""
    if contact_id is not None:
        found = await session.exec(
            select(ContactRow).where(ContactRow.id == contact_id, ContactRow.owner_id == owner_id)
        )
        if (row := found.one_or_none()) is not None:
            return row
    if not number or (known := telephone.normal(number)) is None:
        return None
    return await of_number(session, owner_id, known)


def variables_of(row: ContactRow) -> dict[str, str]:
    """What an agent may say of a contact, as `{{name}}`: the contact's own variables before ours."""
    first, _, rest = row.name.partition(" ")
    ours = {
        "contact_name": row.name,
        "name": row.name,
        "username": row.name,
        "first_name": first,
        "last_name": rest.rpartition(" ")[2],
        "company": row.company,
        "email": row.email,
    }
    return {name: value for name, value in ours.items() if value} | row.variables


# ── who must not be called ───────────────────────────────────────────────────────────────────────
async def barred(session: AsyncSession, owner_id: str, numbers: Collection[str]) -> set[str]:
    """Which of these numbers must not be called."""
    asked, found = list(numbers), set[str]()
    for start in range(0, len(asked), IN_ONE_QUERY):
        rows = await session.exec(
            select(DoNotCallRow.phone_number).where(
                DoNotCallRow.owner_id == owner_id,
                col(DoNotCallRow.phone_number).in_(asked[start : start + IN_ONE_QUERY]),
            )
        )
        found.update(rows.all())
    return found


async def is_barred(database: Database, owner_id: str, number: str) -> bool:
    """Whether a number must not be called, as it is committed: without a session."""
    return bool(await database.ask(_BARRED, owner_id=owner_id, phone_number=number))


async def refuse_barred(session: AsyncSession, owner_id: str, number: str) -> None:
    """Raise `MustNotCall` for a number on the list."""
    if await barred(session, owner_id, [number]):
        raise MustNotCall


async def bar(session: AsyncSession, caller: Caller, wanted: DoNotCall) -> DoNotCallRow:
    """Put a number on the list; one that is there stays as it is."""
    row = DoNotCallRow(owner_id=caller.owner_id, phone_number=wanted.phone_number, reason=wanted.reason)
    await insert_new(session, DoNotCallRow, [row])
    return await session.get_one(DoNotCallRow, (row.owner_id, row.phone_number))


async def unbar(session: AsyncSession, caller: Caller, number: str) -> None:
    """Take a number off the list."""
    known = telephone.normal(number) or number
    if (row := await session.get(DoNotCallRow, (caller.owner_id, known), with_for_update=True)) is None:
        raise NotOnTheList
    await session.delete(row)


async def barred_page(session: AsyncSession, caller: Caller, wanted: Page) -> tuple[list[DoNotCallRow], int]:
    """A page of the list, newest first, and how many numbers it has."""
    mine = col(DoNotCallRow.owner_id) == caller.owner_id
    total = await session.exec(select(func.count()).select_from(DoNotCallRow).where(mine))
    found = await session.exec(
        select(DoNotCallRow)
        .where(mine)
        .order_by(col(DoNotCallRow.created_at).desc(), col(DoNotCallRow.phone_number))
        .limit(wanted.limit)
        .offset(wanted.offset)
    )
    return list(found.all()), total.one()
