"""Nobody is called twice and nobody is forgotten, wherever around an order to call them the api is killed."""

import sqlite3
import time
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_killed_schedule import SECRET
from tests.support.api import AGENT, Api, Person, running_api
from tests.support.dying_server import answers, serving
from tests.support.ordering_api import POINTS
from tests.support.rehearsed_worker import RehearsedWorker

NUMBERS = [f"+1415555{1000 + nth}" for nth in range(7)]
SERVER = "tests.support.ordering_api"
TRUNK = {"name": "Carrier", "sip_server": "1.2.3.4:5099", "sip_username": "me", "sip_password": "secret"}


class Exchange:
    """What outlives the api: whom it was ordered to call, by its journal, and how they answered."""

    def __init__(self) -> None:
        self.called: dict[str, str] = {}
        """The numbers called, by call."""
        self.withdrawn: set[str] = set()

    def obeys(self, order: dict[str, Any]) -> dict[str, Any]:
        """As `worker.exchange.outbound`."""
        call_id = order["call_id"]
        if order["kind"] == "withdraw":
            if call_id in self.called:
                return {"outcome": "refused"}
            self.withdrawn.add(call_id)
        elif call_id in self.called or call_id in self.withdrawn:
            return {"outcome": "refused", "message": "the call is placed already, or was withdrawn"}
        else:
            self.called[call_id] = order["to_number"]
        return {"outcome": "done"}

    def worker(self, api: Api) -> RehearsedWorker:
        """It, to this api."""
        worker = RehearsedWorker(api)
        worker.obeys = self.obeys
        worker.status |= {"phones_why_not": "", "journal": "j"}
        return worker


def busy(worker: RehearsedWorker, call_id: str) -> None:
    """Nobody picks up."""
    told = {"worker_id": worker.worker_id, "state": "ended", "sip_code": 486, "sip_reason": "Busy Here"}
    assert worker._internal("POST", f"/internal/phones/calls/{call_id}", told).status == 204


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_campaign_whose_api_dies_around_each_order_calls_everybody_once(tmp_path: Path) -> None:
    exchange = Exchange()
    with running_api(tmp_path / "home", **SECRET) as api:
        person = api.person()
        agent_id = person.made("/v1/agents", AGENT)["agent_id"]
        trunk_id = person.made("/v1/sip-trunks", TRUNK)["trunk_id"]
        number = {"number": "+905331112233", "agent_id": agent_id, "trunk_id": trunk_id}
        person.made("/v1/phone-numbers", number)
        wanted = {"agent_id": agent_id, "name": "Fair", "calls_per_minute": 60, "max_concurrent": 20}
        path = f"/v1/campaigns/{person.made('/v1/campaigns', wanted)['campaign_id']}"
        person.made(f"{path}/contacts", {"contacts": [{"phone_number": number} for number in NUMBERS]})
        person.ask("POST", f"{path}/start")
    for point in POINTS:
        with serving(api, SERVER, point) as process:
            with suppress(AssertionError, OSError):
                if answers(api, process):
                    with exchange.worker(api):
                        process.wait(60)
            assert process.wait(60) == -9, (point, (api.home / "dying.log").read_text()[-2000:])
    with serving(api, SERVER) as process:
        assert answers(api, process)
        person = Person(api, person.email, person.credentials)
        told: set[str] = set()
        with exchange.worker(api) as worker:
            deadline = time.monotonic() + 60
            while (campaign := person.ask("GET", path).json)["status"] != "completed":
                assert time.monotonic() < deadline, campaign
                time.sleep(0.5)
                for call_id in set(exchange.called) - told:
                    if len(exchange.called) == len(
                        NUMBERS
                    ):  # what the api does not know by then it finds out
                        busy(worker, call_id)
                        told.add(call_id)
        results = person.ask("GET", f"{path}/results").json
    assert Counter(exchange.called.values()) == dict.fromkeys(NUMBERS, 1)
    assert results["outcomes"] == {"busy": len(NUMBERS)}
    assert results["total_attempts"] == len(NUMBERS)
    assert exchange.withdrawn, "an order was never sent by an api that died"
    with closing(sqlite3.connect(api.home / "call2me.sqlite")) as connection:
        rows = connection.execute(
            "SELECT id, disconnection_reason FROM calls WHERE status = 'failed'"
        ).fetchall()
    assert {call_id for call_id, _ in rows} == exchange.withdrawn
    assert {reason for _, reason in rows} == {"not_dialled: the order was lost on its way to the exchange"}
