"""Calls on telephones as an exchange tells the api of them, and takes orders for them; the test plays it."""

import time
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest

from tests.support.api import AGENT, Person
from tests.support.house import House

JOURNAL = "journal-1"
numbers = count(7_000_000)
"""The ends of numbers that nobody has yet."""


def until(true: Callable[[], Any], seconds: float = 30.0) -> Any:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def exchange_is(house: House, wanted: str) -> None:
    """Wait until the api knows what the worker's status says of its telephones."""
    anybody = house.api.person()
    until(lambda: anybody.ask("GET", "/v1/sip/health").json["exchange"] == wanted, 30)


@pytest.fixture
def owner(house: House) -> Person:
    return house.person()


@pytest.fixture
def line(house: House) -> Iterator[None]:
    """The worker has phones, and does as it is told."""
    house.worker.status |= {"phones_why_not": "", "journal": JOURNAL}
    house.worker.obeys = lambda order: {"outcome": "done"}
    exchange_is(house, "up")
    yield
    for told in ("phones_why_not", "journal"):
        house.worker.status.pop(told)
    house.worker.obeys = lambda order: None
    exchange_is(house, "down")


def bound(owner: Person) -> tuple[str, str, str]:
    """An agent, its number, and the trunk of that."""
    agent_id = owner.made("/v1/agents", AGENT)["agent_id"]
    trunk = {
        "name": "Carrier",
        "sip_server": "1.2.3.4:5099",
        "sip_username": "me",
        "sip_password": "secret",
    }
    trunk_id = owner.made("/v1/sip-trunks", trunk)["trunk_id"]
    number = f"+90533{next(numbers)}"
    owner.made("/v1/phone-numbers", {"number": number, "agent_id": agent_id, "trunk_id": trunk_id})
    return agent_id, number, trunk_id


def rings(house: House, trunk_id: str, number: str, sip_call_id: str, **more: Any) -> Any:
    """A call comes in."""
    told = {
        "worker_id": house.worker.worker_id,
        "sip_call_id": sip_call_id,
        "trunk_id": trunk_id,
        "to_number": number,
        "from_number": "+14155550100",
        **more,
    }
    return house.worker._internal("POST", "/internal/phones/calls", told)


def goes(
    house: House,
    call_id: str,
    state: str,
    code: int = 0,
    reason: str = "",
    at: str | None = None,
    **more: Any,
) -> int:
    """The exchange tells how a call goes; `more` of it only where that is told."""
    told = {"worker_id": house.worker.worker_id, "state": state, "sip_code": code, "sip_reason": reason}
    told |= more | ({"at": at} if at is not None else {})
    return int(house.worker._internal("POST", f"/internal/phones/calls/{call_id}", told).status)


def dialled(house: House, call_id: str) -> dict[str, Any]:
    """The order to dial."""
    return until(
        lambda: next(
            (o for o in list(house.worker.orders) if o.get("kind") == "dial" and o["call_id"] == call_id),
            None,
        )
    )
