"""A scheduled call is placed exactly once, wherever the api is killed."""

import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.api import AGENT, ROOT, Api, Person, running_api
from tests.support.dialling_api import SCHEDULE_POINTS

SECRET = {"CALL2ME_JWT_SECRET": "j" * 40}


@contextmanager
def dialling(
    api: Api, point: str = "", module: str = "tests.support.dialling_api"
) -> Iterator["subprocess.Popen[bytes]"]:
    """An api with a line, on the same data, until it dies or the block ends."""
    with (api.home / "dialling.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *([point] if point else [])],
            env=api.environment,
            cwd=ROOT,
            stdout=log,
            stderr=log,
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)


def answers(api: Api, process: "subprocess.Popen[bytes]") -> bool:
    """Wait until it serves; False where it died before that."""
    deadline = time.monotonic() + 60
    while process.poll() is None:
        assert time.monotonic() < deadline
        with suppress(OSError):
            if api.ask("GET", "/health/live").status == 200:
                return True
        time.sleep(0.05)
    return False


@pytest.mark.slow
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
        with dialling(api, point) as process:
            if answers(api, process) and number == 0:
                with suppress(OSError):
                    person.ask(
                        "POST", "/v1/schedules", {**wanted, "scheduled_at": datetime.now(UTC).isoformat()}
                    )
            assert process.wait(60) == -9, (point, (api.home / "dialling.log").read_text()[-2000:])
        time.sleep(1.0)  # what was due a moment ago is overdue now
    with dialling(api) as process:
        assert answers(api, process)
        person = Person(api, person.email, person.credentials)
        (schedule,) = person.ask("GET", "/v1/schedules").json["schedules"]
        path = f"/v1/schedules/{schedule['schedule_id']}"
        (done,) = person.ask("GET", f"{path}/executions").json["executions"]
        assert (done["status"], schedule["execution_count"], schedule["status"]) == ("placed", 1, "scheduled")
        time.sleep(2)
    with closing(sqlite3.connect(api.home / "call2me.sqlite")) as connection:
        assert connection.execute("SELECT id FROM calls").fetchall() == [(done["call_id"],)]
