"""A scheduled call is placed exactly once, wherever the api is killed."""

import sqlite3
import time
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.api import AGENT, Person, running_api
from tests.support.dialling_api import SCHEDULE_POINTS
from tests.support.dying_server import answers, serving

SECRET = {"CALL2ME_JWT_SECRET": "j" * 40}
SERVER = "tests.support.dialling_api"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_due_call_that_meets_a_death_at_every_step_is_placed_once(tmp_path: Path) -> None:
    with running_api(tmp_path / "home", **SECRET) as api:
        person = api.person()
        agent_id = person.made("/v1/agents", AGENT)["agent_id"]
    wanted = {
        "agent_id": agent_id,
        "phone_number": "+905321234567",
        "scheduled_at": datetime.now(UTC).isoformat(),
        "recurrence": "daily",
    }
    for number, point in enumerate(SCHEDULE_POINTS):
        with serving(api, SERVER, point) as process:
            if answers(api, process) and number == 0:
                with suppress(OSError):
                    person.ask(
                        "POST", "/v1/schedules", {**wanted, "scheduled_at": datetime.now(UTC).isoformat()}
                    )
            assert process.wait(60) == -9, (point, (api.home / "dying.log").read_text()[-2000:])
        time.sleep(1.0)  # what was due a moment ago is overdue now
    with serving(api, SERVER) as process:
        assert answers(api, process)
        person = Person(api, person.email, person.credentials)
        (schedule,) = person.ask("GET", "/v1/schedules").json["schedules"]
        path = f"/v1/schedules/{schedule['schedule_id']}"
        (done,) = person.ask("GET", f"{path}/executions").json["executions"]
        assert (done["status"], schedule["execution_count"], schedule["status"]) == ("placed", 1, "scheduled")
        time.sleep(2)
    with closing(sqlite3.connect(api.home / "call2me.sqlite")) as connection:
        assert connection.execute("SELECT id FROM calls").fetchall() == [(done["call_id"],)]
