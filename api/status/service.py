"""Availability: looked at four times a minute, kept for 90 days, told by the day.

    minute   :00        :01        :02        :03
    looks    ● ● ● ●    ● ● ○ ●    ○ ○ ○ ○    (the process is gone)
    voice    up         up         down       down
    api      up         up         up         down

A minute in which a part was up at one look counts as up. A minute in which nobody could write down
that it was, counts as down.
"""

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from sqlalchemy import delete
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.db.columns import now
from api.db.engine import Database
from api.db.inserts import insert_new
from api.http.readiness import Readiness
from api.status.table import AvailabilityRow

_LOG = logging.getLogger(__name__)

DAYS = 90
LOOK_SECONDS = 15.0
VOICE_NEEDS = ("livekit", "worker")
"""The checks without which nobody can talk."""
_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True)
class DayFigures:
    """How much of a day a part was up; None before anything was written down."""

    day: date
    percent: float | None


@dataclass(frozen=True)
class Figures:
    """How much of the last 90 days a part was up; None before anything was written down."""

    percent: float | None
    days: list[DayFigures]


async def watch(database: Database, readiness: Readiness) -> None:
    """Look for as long as the process lives."""
    while True:
        try:
            found = await readiness.ask()
            async with database.transaction() as session:
                await write_down(session, now(), is_voice_up=not any(found.get(name) for name in VOICE_NEEDS))
        except (SQLAlchemyError, OSError) as error:
            # What cannot be written down was not available: whoever asks for it could not be served either.
            _LOG.warning("availability not written", extra={"error": type(error).__name__})
        await asyncio.sleep(LOOK_SECONDS)


async def write_down(session: AsyncSession, moment: datetime, *, is_voice_up: bool) -> None:
    """The api is up in this minute, and voice or not. Several processes may say so at once."""
    hour, bit = _hour(moment), 1 << moment.minute
    known = await session.get(AvailabilityRow, hour)
    if known is not None and known.api & bit and (known.voice & bit or not is_voice_up):
        return
    if known is None and await insert_new(session, AvailabilityRow, [AvailabilityRow(hour=hour)]):
        old = hour - timedelta(days=DAYS + 1)
        await session.exec(delete(AvailabilityRow).where(col(AvailabilityRow.hour) < old))
    found = await session.exec(
        select(AvailabilityRow)
        .where(AvailabilityRow.hour == hour)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    row = found.one()
    row.api |= bit
    row.voice |= bit if is_voice_up else 0
    session.add(row)


async def figures(session: AsyncSession, moment: datetime) -> dict[str, Figures]:
    """Of the api and of voice, until the minute before this one."""
    since = _hour(moment) - timedelta(days=DAYS)
    found = await session.exec(
        select(AvailabilityRow).where(AvailabilityRow.hour >= since).order_by(col(AvailabilityRow.hour))
    )
    rows = found.all()
    until = moment.replace(second=0, microsecond=0)
    first = next((row.hour + _MINUTE * _lowest(row.api) for row in rows if row.api), until)
    return {
        "api": _of({row.hour: row.api for row in rows}, first, until),
        "voice": _of({row.hour: row.voice for row in rows}, first, until),
    }


def _of(masks: dict[datetime, int], first: datetime, until: datetime) -> Figures:
    up: dict[date, int] = {}
    for hour, mask in masks.items():
        if hour >= _hour(until):
            mask &= (1 << until.minute) - 1  # noqa: PLW2901 - the minute under way says nothing yet
        up[hour.date()] = up.get(hour.date(), 0) + mask.bit_count()
    days = [
        DayFigures(day, _percent(up.get(day, 0), _minutes_of(day, first, until)))
        for day in _days(until.date())
    ]
    return Figures(_percent(sum(up.values()), int((until - first) / _MINUTE)), days)


def _minutes_of(day: date, first: datetime, until: datetime) -> int:
    midnight = datetime.combine(day, time(), UTC)
    begins, ends = max(first, midnight), min(until, midnight + timedelta(days=1))
    return max(0, int((ends - begins) / _MINUTE))


def _days(last: date) -> Iterable[date]:
    return (last - timedelta(days=ago) for ago in reversed(range(DAYS)))


def _percent(up: int, of: int) -> float | None:
    return round(100 * min(up, of) / of, 3) if of > 0 else None


def _hour(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _lowest(mask: int) -> int:
    return (mask & -mask).bit_length() - 1
