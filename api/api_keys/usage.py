"""What keys are used for: counted in memory, added to the database every few seconds.

A process that is killed loses the last of it; these are figures, not money.
"""

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.api_keys.table import ApiKeyRow, ApiKeyUsageRow
from api.db.columns import now
from api.db.engine import Database
from api.db.inserts import add_up

_LOG = logging.getLogger(__name__)

EVERY_SECONDS = 10.0
MAX_WAITING = 10_000
"""Days of keys that wait to be written; beyond it what is new is not counted."""


@dataclass
class Counted:
    """So many requests, of which so many failed, took so long together."""

    requests: int = 0
    failed: int = 0
    duration_ms: float = 0.0


class KeyUsage:
    """The counts of this process."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, str], Counted] = {}

    def note(self, key_id: str, status: int, duration_ms: float) -> None:
        """A request of this key was answered."""
        place = (key_id, now().date().isoformat())
        if place not in self._waiting and len(self._waiting) >= MAX_WAITING:
            return
        counted = self._waiting.setdefault(place, Counted())
        counted.requests += 1
        counted.failed += not 200 <= status < 400
        counted.duration_ms += duration_ms

    def waiting(self, key_id: str, days: Iterable[str]) -> Counted:
        """What is not written yet of some days."""
        total = Counted()
        for day in days:
            _add(total, self._waiting.get((key_id, day), Counted()))
        return total

    async def write(self, database: Database) -> None:
        """Add what waits to the database. What cannot be written waits on."""
        taken, self._waiting = self._waiting, {}
        if not taken:
            return
        try:
            async with database.transaction() as session:
                known = await session.exec(
                    select(ApiKeyRow.id).where(col(ApiKeyRow.id).in_({key_id for key_id, _ in taken}))
                )
                there = set(known.all())  # one that was deleted meanwhile is counted no more
                rows = [
                    ApiKeyUsageRow(key_id=key_id, day=day, **vars(counted))
                    for (key_id, day), counted in taken.items()
                    if key_id in there
                ]
                await add_up(session, ApiKeyUsageRow, rows, ("requests", "failed", "duration_ms"))
        except SQLAlchemyError as error:
            _LOG.warning("use of keys not written", extra={"error": type(error).__name__})
            for place, counted in taken.items():
                _add(self._waiting.setdefault(place, Counted()), counted)

    async def write_for_ever(self, database: Database) -> None:
        """Write every few seconds."""
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            await self.write(database)


async def of_key(session: AsyncSession, usage: KeyUsage, key_id: str, days: int) -> tuple[Counted, datetime]:
    """What a key was used for in so many days, today included; and when the first of them began."""
    today = now().date()
    named = [(today - timedelta(days=back)).isoformat() for back in range(days)]
    found = await session.exec(
        select(
            func.coalesce(func.sum(ApiKeyUsageRow.requests), 0),
            func.coalesce(func.sum(ApiKeyUsageRow.failed), 0),
            func.coalesce(func.sum(ApiKeyUsageRow.duration_ms), 0.0),
        ).where(ApiKeyUsageRow.key_id == key_id, col(ApiKeyUsageRow.day) >= named[-1])
    )
    requests, failed, duration = found.one()
    total = Counted(int(requests), int(failed), float(duration))
    _add(total, usage.waiting(key_id, named))
    return total, datetime.fromisoformat(named[-1]).replace(tzinfo=UTC)


def _add(total: Counted, more: Counted) -> None:
    total.requests += more.requests
    total.failed += more.failed
    total.duration_ms += more.duration_ms
