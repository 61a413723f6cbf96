"""The status page from our own figures, on each kind of database, over days that a test makes up."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlmodel import func, select

from api.db.engine import Database
from api.settings import Settings
from api.status import service
from api.status.table import AvailabilityRow
from tests.support.api import running_api
from tests.support.livekit_server import running_livekit
from tests.support.ports import free_port
from tests.support.rehearsed_worker import RehearsedWorker

NOON = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)


async def lived(database: Database, since: datetime, until: datetime, *, is_voice_up: bool = True) -> None:
    """Every minute from one to another was written down."""
    async with database.transaction() as session:
        while since < until:
            await service.write_down(session, since, is_voice_up=is_voice_up)
            since += timedelta(minutes=1)


async def told(database: Database, moment: datetime) -> dict[str, service.Figures]:
    async with database.transaction(writes=False) as session:
        return await service.figures(session, moment)


async def test_before_anything_is_known_nothing_is_claimed(database: Database) -> None:
    figures = await told(database, NOON)
    assert figures["api"].percent is None
    assert [day.percent for day in figures["voice"].days] == [None] * 90
    await lived(database, NOON, NOON + timedelta(minutes=1))
    assert (await told(database, NOON + timedelta(seconds=30)))["api"].percent is None, "still going on"
    assert (await told(database, NOON + timedelta(seconds=60)))["api"].percent == 100


async def test_an_outage_counts_for_as_long_as_it_was(database: Database) -> None:
    await lived(database, NOON, NOON + timedelta(minutes=45))
    await lived(database, NOON + timedelta(minutes=55), NOON + timedelta(minutes=75), is_voice_up=False)
    await lived(database, NOON + timedelta(minutes=75), NOON + timedelta(minutes=100))
    figures = await told(database, NOON + timedelta(minutes=100))
    assert figures["api"].percent == 90
    assert figures["voice"].percent == 70
    assert figures["api"].days[-1] == service.DayFigures(NOON.date(), 90)
    gone = await told(database, NOON + timedelta(minutes=180))
    assert gone["api"].percent == 50, "who is gone cannot say so, and is down all the same"


async def test_days_are_told_apart_and_old_ones_are_forgotten(database: Database) -> None:
    midnight = NOON.replace(hour=0)
    await lived(database, midnight - timedelta(minutes=30), midnight + timedelta(minutes=30))
    figures = (await told(database, midnight + timedelta(minutes=60)))["api"]
    assert [day.percent for day in figures.days[-3:]] == [None, 100, 50]
    later = NOON + timedelta(days=service.DAYS + 2)
    await lived(database, later, later + timedelta(minutes=1))
    async with database.transaction(writes=False) as session:
        assert (await session.exec(select(func.count()).select_from(AvailabilityRow))).one() == 1


async def test_processes_that_write_at_once_add_up(database: Database) -> None:
    async def look(minute: int) -> None:
        async with database.transaction() as session:
            await service.write_down(session, NOON + timedelta(minutes=minute), is_voice_up=minute % 2 == 0)

    await asyncio.gather(*(look(minute) for minute in (*range(8), *range(8))))
    figures = await told(database, NOON + timedelta(minutes=8))
    assert (figures["api"].percent, figures["voice"].percent) == (100, 50)


async def test_the_page_says_what_is_up_now(tmp_path: Path) -> None:
    ports = {"CALL2ME_LIVEKIT_PORT": str(free_port()), "CALL2ME_LIVEKIT_UDP_PORT": str(free_port())}
    with running_api(tmp_path, **ports) as api:
        assert api.ask("GET", "/v1/status").json["status"] == "degraded"
        page = api.ask("GET", "/status")
        assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert b"Nobody can talk by voice now" in page.raw
        assert len(re.findall(rb"<rect ", page.raw)) == 180
        assert b"unsafe" not in page.headers["content-security-policy"].encode()
        detail = api.ask("GET", "/health/detailed").json
        assert (detail["status"], detail["parts"]["livekit"] != "up") == ("degraded", True)
        with running_livekit(Settings.load(api.environment)), RehearsedWorker(api):
            async with asyncio.timeout(20):
                while api.ask("GET", "/v1/status").json["status"] != "operational":
                    await asyncio.sleep(0.2)
            detail = api.ask("GET", "/health/detailed").json
            assert (detail["status"], detail["schema_valid"]) == ("healthy", True)
            assert detail["database"]["revision"] == detail["database"]["expected_revision"] != ""
            assert detail["database"]["kind"] == "sqlite"
            assert detail["uptime_seconds"] > 0
        database = Database(Settings.load(api.environment).database_url)
        async with asyncio.timeout(20), database.transaction(writes=False) as session:
            assert (await session.exec(select(AvailabilityRow.api))).one() > 0, "it looks by itself"
        await database.close()
