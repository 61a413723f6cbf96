"""What these tests stand on: a call under way, and the durable engine beside rehearsed rooms."""

import contextlib
import functools
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from api.db.engine import Database
from api.durable import engine
from api.outside.mail import FileMail
from api.outside.storage import FolderStorage
from api.settings import Settings
from pipelines.outbound import Guard
from tests.support.held_call import Held, holding
from tests.support.rehearsed_calls import RehearsedRooms


@pytest.fixture
def hold(tmp_path: Path) -> Callable[..., contextlib.AbstractAsyncContextManager[Held]]:
    return functools.partial(holding, tmp_path)


@pytest.fixture
def rooms() -> RehearsedRooms:
    """Rooms that a test may look into."""
    return RehearsedRooms()


@pytest.fixture
async def durable(
    database: Database, database_url: str, rooms: RehearsedRooms, tmp_path: Path
) -> AsyncIterator[None]:
    """The engine, launched on this test's loop."""
    settings = Settings.load({"CALL2ME_HOME": str(tmp_path / "home"), "CALL2ME_DATABASE_URL": database_url})
    engine.launch(
        settings,
        engine.Reach(
            database,
            rooms,
            *(FolderStorage(tmp_path / name) for name in ("r", "k")),
            Guard(),
            FileMail(tmp_path, "a@b.c"),
        ),
    )
    yield
    await engine.close()
