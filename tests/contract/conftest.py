"""What most tests of the contract stand on."""

from collections.abc import Iterator

import pytest

from tests.support.house import ENGLISH_AGENT, House, running_house
from tests.support.postgres import new_database
from tests.support.shop import Shop, running_shop
from tests.support.till import Till, running_till

__all__ = ["DEMO_CALLER", "ENGLISH_AGENT", "House"]

DEMO_CALLER = "+905337654321"
"""Whom strangers are called from, once a test made it somebody's number."""


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def house(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """On each kind of database; shared, so tests bring people of their own."""
    folder = tmp_path_factory.mktemp(f"house-{request.param}")
    with running_house(folder, new_database(request), CALL2ME_DEMO_CALLER=DEMO_CALLER) as house:
        yield house


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """An api that sells numbers, on each kind of database; shared, so tests bring people of their own."""
    with running_shop(tmp_path_factory.mktemp(f"shop-{request.param}"), new_database(request)) as running:
        yield running


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def till(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Till]:
    """An api that takes money, on each kind of database; shared, so tests bring people of their own."""
    with running_till(tmp_path_factory.mktemp(f"till-{request.param}"), new_database(request)) as running:
        yield running
