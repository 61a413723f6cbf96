"""Campaigns and schedules as an exchange sees them: who is dialled, once, and what comes of it."""

from collections import Counter
from datetime import UTC, datetime

import pytest

from tests.contract.conftest import House
from tests.contract.test_live_calls import Watching
from tests.support.api import Person
from tests.support.rehearsed_exchange import bound, dialled, goes, line, owner, until
from tests.support.rehearsed_worker import Script

__all__ = ["line", "owner"]
"""Fixtures."""

ANSWERS, BUSY, AWAY, MACHINE = "+905391110001", "+905391110002", "+905391110003", "+905391110004"


def _orders(house: House, number: str) -> Counter[str]:
    """How often the exchange was ordered to dial from this number, by whom it should call."""
    dials = [order for order in list(house.worker.orders) if order.get("kind") == "dial"]
    return Counter(order["to_number"] for order in dials if order["from_number"] == number)


@pytest.mark.usefixtures("line")
def test_a_campaign_dials_everybody_once_and_hears_what_came_of_it(house: House, owner: Person) -> None:
    agent_id, number, _ = bound(owner)
    owner.made("/v1/contacts", {"phone_number": ANSWERS, "name": "Ada", "variables": {"plan": "gold"}})
    wanted = {"agent_id": agent_id, "name": "Fair", "calls_per_minute": 60, "max_concurrent": 2}
    path = f"/v1/campaigns/{owner.made('/v1/campaigns', wanted)['campaign_id']}"
    people = [{"phone_number": one, "variables": {"day": "Monday"}} for one in (ANSWERS, BUSY, AWAY, MACHINE)]
    owner.made(f"{path}/contacts", {"contacts": people})
    assert owner.ask("GET", f"{path}/preview").json["problems"] == []
    assert owner.ask("POST", f"{path}/start").status == 200
    assert house.person().ask("GET", f"{path}/events").status == 404
    watching = Watching(f"{house.api.url}{path}/events", owner.token)

    def call_of(who: str) -> str:
        listed = owner.ask("GET", f"{path}/contacts").json["contacts"]
        return str(next((one["call_id"] or "" for one in listed if one["phone_number"] == who), ""))

    answered = until(lambda: call_of(ANSWERS), 20)
    assert dialled(house, answered)["from_number"] == number
    brief = house.worker.brief(answered).json
    assert [brief["variables"][name] for name in ("contact_name", "plan", "day")] == ["Ada", "gold", "Monday"]
    busy = until(lambda: call_of(BUSY), 20)
    dialled(house, busy)
    stats = owner.ask("GET", path).json["stats"]
    assert (stats["in_progress"], stats["pending"]) == (2, 2), "two at once, the others wait"
    goes(house, busy, "ended", 486, "Busy Here")
    away = until(lambda: call_of(AWAY), 20)
    dialled(house, away)
    goes(house, away, "ended", 480, "Temporarily Unavailable")
    machine = until(lambda: call_of(MACHINE), 20)
    dialled(house, machine)
    assert house.worker.brief(machine).status == 200
    heard = Script(machine)
    house.worker.tell(heard.started(), heard.ended(2, "ended", "voicemail"))
    script = Script(answered)
    house.worker.tell(script.started(), script.ended(9))
    done = until(lambda: (got := owner.ask("GET", path).json)["status"] == "completed" and got, 20)
    assert (done["stats"]["completed"], done["stats"]["failed"]) == (1, 3)
    results = owner.ask("GET", f"{path}/results").json
    assert results["outcomes"] == {"completed": 1, "busy": 1, "no_answer": 1, "voicemail": 1}
    assert _orders(house, number) == {ANSWERS: 1, BUSY: 1, AWAY: 1, MACHINE: 1}
    watching.join(10)
    assert watching.names()[-1] == "end"
    told = [one["stats"] for _, one in watching.events]
    assert told[0]["completed"] == 0
    assert told[-1] == done["stats"]
    assert watching.events[-1][1]["outcomes"] == results["outcomes"]


@pytest.mark.usefixtures("line")
def test_a_schedule_is_dialled_when_it_is_due(house: House, owner: Person) -> None:
    agent_id, number, _ = bound(owner)
    wanted = {
        "agent_id": agent_id,
        "phone_number": ANSWERS,
        "scheduled_at": datetime.now(UTC).isoformat(),
        "description": "the bill",
        "variables": {"plan": "gold"},
    }
    path = f"/v1/schedules/{owner.made('/v1/schedules', wanted)['schedule_id']}"
    (done,) = until(lambda: owner.ask("GET", f"{path}/executions").json["executions"], 20)
    assert (done["status"], owner.ask("GET", path).json["status"]) == ("placed", "completed")
    assert dialled(house, done["call_id"])["to_number"] == ANSWERS
    brief = house.worker.brief(done["call_id"]).json
    assert (brief["variables"]["call_purpose"], brief["variables"]["plan"]) == ("the bill", "gold")
    goes(house, done["call_id"], "ended", 200, "OK")
    script = Script(done["call_id"])
    house.worker.tell(script.started(), script.ended(9))
    (after,) = owner.ask("GET", f"{path}/executions").json["executions"]
    assert after["call_status"] == "completed"
    assert _orders(house, number) == {ANSWERS: 1}
