"""The rows of a sweep, each by itself: one that always fails keeps nobody waiting, and is not forgotten.

row ─ done ─► not stuck (any more)
 └─ failed ─► again after 15 s, 1 min, 4 min, … 17 h ─► given up: letters, audit log ─► `call2me wallet retry`
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, delete, exists, or_
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.audit import service as audit
from api.db.columns import now
from api.db.engine import Database
from api.db.inserts import insert_new
from api.durable import engine, letters
from api.outside.mail import Letter
from api.stuck.table import StuckRow
from api.users import service as users
from api.users.table import UserRow

_LOG = logging.getLogger(__name__)

FIRST_SECONDS = 15.0
LATER = 4
"""How many times longer each pause is than the one before."""
MOST_TRIES = 8
"""The last one comes almost a day after the first."""
ROW_SECONDS = 30.0
"""For one row: one that hangs must not use up the time of all."""
NOT_TRIED_FOR = timedelta(days=2)


@dataclass(frozen=True)
class Work:
    """What one kind of rows waits for."""

    kind: str
    subject: str = ""
    """Of the letter to the owner of a row that is given up; none where there is nothing to tell them."""
    text: str = ""


Rows = Iterable[tuple[str, str]]
"""Keys, each with its owner."""


def is_due(work: Work, key: Any) -> ColumnElement[bool]:
    """For a sweep's query: the row neither waits for its next try nor was given up."""
    return ~exists().where(
        col(StuckRow.kind) == work.kind,
        col(StuckRow.key) == key,
        or_(col(StuckRow.given_up_at).is_not(None), col(StuckRow.try_at) > now()),
    )


async def each(database: Database, work: Work, rows: Rows, do: Callable[[str], Awaitable[object]]) -> None:
    """Do it for every row, those that failed before last. `do` has a transaction of its own for each."""
    owners = dict(rows)
    if not owners:
        return
    async with database.transaction(writes=False) as session:
        found = await session.exec(
            select(StuckRow.key).where(StuckRow.kind == work.kind, col(StuckRow.key).in_(owners))
        )
        failed_before = set(found.all())
    for key in sorted(owners, key=failed_before.__contains__):
        try:
            async with asyncio.timeout(ROW_SECONDS):
                await do(key)
        except Exception as error:  # noqa: BLE001 - whatever it was, the next row has nothing to do with it
            await _failed(database, work, key, owners[key], type(error).__name__)
            continue
        if key in failed_before:
            async with database.transaction() as session:
                await session.exec(
                    delete(StuckRow).where(col(StuckRow.kind) == work.kind, col(StuckRow.key) == key)
                )


async def _failed(database: Database, work: Work, key: str, owner_id: str, error: str) -> None:
    _LOG.warning("a row could not be done", extra={"kind": work.kind, "key": key, "error": error})
    async with database.transaction() as session:
        await insert_new(session, StuckRow, [StuckRow(kind=work.kind, key=key, owner_id=owner_id)])
        row = await session.get_one(StuckRow, (work.kind, key), with_for_update=True)
        moment = now()
        if row.given_up_at is not None or row.try_at > moment:
            return  # another process was just here
        row.tries, row.error = row.tries + 1, error[:100]
        session.add(row)
        if row.tries < MOST_TRIES:
            row.try_at = moment + timedelta(seconds=FIRST_SECONDS * LATER ** (row.tries - 1))
            return
        row.given_up_at = moment
        await _tell(session, work, row)


async def _tell(session: AsyncSession, work: Work, row: StuckRow) -> None:
    name = f"{row.kind}/{row.key}"
    _LOG.error("a row was given up", extra={"kind": row.kind, "key": row.key, "error": row.error})
    audit.note_system(
        session, row.owner_id, "give_up", {"what": name, "error": row.error, "tries": row.tries}
    )
    since = f"{row.created_at:%Y-%m-%d %H:%M} UTC"
    given_up_at = int((row.given_up_at or now()).timestamp())
    user = await session.get(UserRow, row.owner_id)
    if user is not None and work.subject:
        letter_id = f"stuck-{row.kind}-{row.key}-{given_up_at}"
        reference = f"\nWhoever runs this server was told. The reference is {name}.\n"
        await letters.write(session, Letter(user.email, work.subject, work.text + reference, letter_id))
    first = await users.first(session)
    if to := engine.reach().contact_email or (first.email if first else ""):
        text = (
            f"{name} has failed {row.tries} times since {since}, at last with {row.error}. It is tried no "
            "more; nothing of it is lost. The log has each failure (`a row could not be done`).\n\n"
            f"Once the cause is mended: call2me wallet retry {name}\n"
        )
        letter_id = f"stuck-{row.kind}-{row.key}-{given_up_at}-operator"
        await letters.write(session, Letter(to, f"Given up: {row.kind}", text, letter_id))


async def stuck(session: AsyncSession) -> Sequence[StuckRow]:
    """What failed at its last try, the oldest first."""
    found = await session.exec(
        select(StuckRow).order_by(col(StuckRow.created_at), col(StuckRow.key)).limit(1000)
    )
    return found.all()


async def given_up(session: AsyncSession) -> int:
    """How many wait for an administrator."""
    asked = select(func.count()).select_from(StuckRow).where(col(StuckRow.given_up_at).is_not(None))
    return (await session.exec(asked)).one()


async def retry(session: AsyncSession, kind: str, key: str) -> bool:
    """Let the next sweep begin anew with one; False where nothing of this name is stuck."""
    row = await session.get(StuckRow, (kind, key), with_for_update=True)
    if row is None:
        return False
    row.tries, row.try_at, row.given_up_at = 0, now(), None
    session.add(row)
    audit.note_operator(session, row.owner_id, "retry_stuck", {"what": f"{kind}/{key}", "error": row.error})
    return True


async def sweep() -> None:
    """Forget what no sweep finds any more: it was done in another way."""
    async with engine.reach().database.transaction() as session:
        await session.exec(
            delete(StuckRow).where(
                col(StuckRow.given_up_at).is_(None), col(StuckRow.try_at) < now() - NOT_TRIED_FOR
            )
        )
