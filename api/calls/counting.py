"""How many calls an owner has, without counting all of them each time.

    ├──────────── counted before ────────────┤├─ counted now ─┤
    0                                      until              now

What is older than a day and over changes only when somebody deletes it, so it is counted once. Each
change of the kept numbers happens under the lock of their row: a count and a deletion never see each
other half done.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import func
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.calls.table import RUNNING, CallCountRow, CallRow
from api.db.columns import now
from api.db.inserts import insert_new
from api.durable import engine
from api.users.table import UserRow

LAG = timedelta(days=1)
"""Longer than a token waits for its first use, and than any transaction takes."""
AGAIN = timedelta(hours=6)
OWNERS_AT_ONCE = 200
AT_ONCE = 50_000
"""Calls in one transaction: on SQLite everybody who writes waits for it."""


@dataclass(frozen=True)
class Which:
    """What a list asks of calls; None: anything."""

    agent_id: str | None = None
    statuses: tuple[str, ...] | None = None
    direction: str | None = None

    def holds(self, agent_id: str, status: str, direction: str) -> bool:
        """Whether calls like these are asked for."""
        return (
            self.agent_id in (None, agent_id)
            and (self.statuses is None or status in self.statuses)
            and self.direction in (None, direction)
        )


async def total(session: AsyncSession, owner_id: str, which: Which) -> int:
    """All such calls of an owner; tokens that nobody used are none."""
    row = await session.get(CallCountRow, owner_id)
    counted = Counter(row.calls if row is not None else {})
    counted.update(await _between(session, owner_id, row.until if row is not None else None, None))
    return sum(number for key, number in counted.items() if which.holds(*key.split(" ")))


async def deleted(session: AsyncSession, call: CallRow) -> None:
    """Take one off that is being deleted; before it is."""
    row = await session.get(CallCountRow, call.owner_id, with_for_update=True)
    if row is not None and call.created_at <= row.until and call.briefed_at is not None:
        key = _key(call.agent_id, call.status, call.direction)
        row.calls = {**row.calls, key: row.calls.get(key, 0) - 1}
        session.add(row)


async def sweep() -> None:
    """Count what has grown old enough since, of some owners."""
    database = engine.reach().database
    async with database.transaction(writes=False) as session:
        found = await session.exec(
            select(UserRow.id, CallCountRow.owner_id)
            .join(CallCountRow, col(CallCountRow.owner_id) == col(UserRow.id), isouter=True)
            .where(
                col(CallCountRow.until).is_(None) | (col(CallCountRow.until) < now() - LAG - AGAIN),
            )
            .limit(OWNERS_AT_ONCE)
        )
        due = found.all()
    for owner_id, known in due:
        if known is None:
            # Counted in the next round: by then every deletion that did not see this row is over.
            first = CallCountRow(owner_id=owner_id, until=datetime(1970, 1, 1, tzinfo=UTC))
            async with database.transaction() as session:
                await insert_new(session, CallCountRow, [first])
            continue
        is_done = False
        while not is_done:
            async with database.transaction() as session:
                is_done = await _count(session, owner_id)


async def _count(session: AsyncSession, owner_id: str) -> bool:
    """Count some more; True when all is counted that may be."""
    row = await session.get(CallCountRow, owner_id, with_for_update=True)
    if row is None:
        return True
    oldest_running = await session.exec(
        select(func.min(CallRow.created_at)).where(
            CallRow.owner_id == owner_id,
            col(CallRow.status).in_(RUNNING),
            col(CallRow.briefed_at).is_not(None),
        )
    )
    until = now() - LAG
    if (running := oldest_running.one()) is not None:
        until = min(until, running - timedelta(microseconds=1))
    if until <= row.until:
        return True
    found = await session.exec(
        select(CallRow.created_at)
        .where(CallRow.owner_id == owner_id, col(CallRow.created_at) > row.until)
        .order_by(col(CallRow.created_at))
        .offset(AT_ONCE)
        .limit(1)
    )
    step = found.one_or_none()
    is_done = step is None or step >= until
    if step is not None and not is_done:
        until = step
    counted = Counter(row.calls)
    counted.update(await _between(session, owner_id, row.until, until))
    row.calls = dict(counted)
    row.until = until
    session.add(row)
    return is_done


async def _between(
    session: AsyncSession, owner_id: str, after: datetime | None, until: datetime | None
) -> dict[str, int]:
    asked = [col(CallRow.owner_id) == owner_id, col(CallRow.briefed_at).is_not(None)]
    if after is not None:
        asked.append(col(CallRow.created_at) > after)
    if until is not None:
        asked.append(col(CallRow.created_at) <= until)
    group = col(CallRow.agent_id), col(CallRow.status), col(CallRow.direction)
    found = await session.exec(select(*group, func.count()).where(*asked).group_by(*group))
    return {_key(agent, status, direction): number for agent, status, direction, number in found.all()}


def _key(agent_id: str | None, status: str, direction: str) -> str:
    return f"{agent_id or ''} {status} {direction}"
