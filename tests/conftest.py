"""What many tests stand on: databases of both kinds, and an api on each."""

import os
from collections.abc import AsyncIterator, Generator, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from api.db import migrate
from api.db.engine import Database
from tests.support.api import Api, Person, running_api
from tests.support.postgres import Postgres, new_database, postgres


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """A PostgreSQL for this run."""
    with postgres() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    made = new_database(request).replace("postgresql://", "postgresql+asyncpg://")
    return made or f"sqlite+aiosqlite:///{tmp_path / 'test.sqlite'}"


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A migrated one of each kind, closed in the end."""
    await migrate.upgrade(database_url)
    made = Database(database_url)
    yield made
    await made.close()


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def api(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """The api as it runs, on each kind of database; shared, so tests bring people of their own."""
    with running_api(tmp_path_factory.mktemp(f"api-{request.param}"), new_database(request)) as running:
        yield running


@pytest.fixture
def person(api: Api) -> Person:
    """Somebody who is signed in."""
    return api.person()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI a test that was skipped has failed: a part is missing there."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("CI") == "true":
        report.outcome = "failed"
    return report


LEFT_OUT = pytest.StashKey[int]()


@pytest.hookimpl(trylast=True)  # of those that were chosen
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without the SIP engine (`make phones`, which needs Rust) its tests are left out, and said so."""
    if find_spec("call2me_sip") is not None:
        return
    left_out = [item for item in items if item.get_closest_marker("phones")]
    if left_out:
        config.stash[LEFT_OUT] = len(left_out)
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Tests that were left out are a failure, unless that was wanted."""
    if session.config.stash.get(LEFT_OUT, 0) and os.environ.get("PHONES") != "off":
        session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """How to have them run."""
    if left_out := config.stash.get(LEFT_OUT, 0):
        terminalreporter.section("phones")
        terminalreporter.line(f"{left_out} tests of phones were left out: there is no SIP engine.")
        terminalreporter.line("Install Rust 1.88 or newer (https://rustup.rs), then: make phones")
        if os.environ.get("PHONES") != "off":
            terminalreporter.line("This counts as a failure; PHONES=off says that it is wanted.")
