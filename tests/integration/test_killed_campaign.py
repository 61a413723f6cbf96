"""Everybody in a campaign is called exactly once, wherever the api is killed, and its end is told once."""

import sqlite3
import time
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path

import pytest

from tests.integration.test_killed_schedule import SECRET, SERVER
from tests.support.api import AGENT, Person, running_api
from tests.support.dialling_api import CAMPAIGN_POINTS
from tests.support.dying_server import answers, serving

NUMBERS = [f"+90532000{n:03}{n % 5}" for n in range(12)]
"""Some do not answer, are busy, or fail (`dialling_api.OUTCOMES`)."""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_campaign_that_meets_a_death_at_every_step_calls_everybody_once(tmp_path: Path) -> None:
    with running_api(tmp_path / "home", **SECRET) as api:
        person = api.person()
        agent_id = person.made("/v1/agents", AGENT)["agent_id"]
        wanted = {"agent_id": agent_id, "name": "Fair", "calls_per_minute": 60, "max_concurrent": 3}
        path = f"/v1/campaigns/{person.made('/v1/campaigns', wanted)['campaign_id']}"
        people = {"contacts": [{"phone_number": number} for number in NUMBERS]}
        person.made(f"{path}/contacts", people)
        person.made("/v1/webhooks/endpoints", {"url": "https://hooks.example.com/a"})
    for number, point in enumerate(CAMPAIGN_POINTS):
        with serving(api, SERVER, point) as process:
            if answers(api, process) and number == 0:
                with suppress(OSError):
                    person.ask("POST", f"{path}/start")
            assert process.wait(60) == -9, (point, (api.home / "dying.log").read_text()[-2000:])
        time.sleep(1.5)  # a look that was due a moment ago is overdue now
    with serving(api, SERVER) as process:
        assert answers(api, process)
        person = Person(api, person.email, person.credentials)
        deadline = time.monotonic() + 60
        while (told := person.ask("GET", path).json)["status"] != "completed":
            assert time.monotonic() < deadline, told
            time.sleep(0.2)
        results = person.ask("GET", f"{path}/results").json
        assert results["total_attempts"] == len(NUMBERS)
        assert results["outcomes"] == {"completed": 5, "no_answer": 3, "busy": 2, "failed": 2}
        time.sleep(2)
    with closing(sqlite3.connect(api.home / "call2me.sqlite")) as connection:
        dialled = Counter(row[0] for row in connection.execute("SELECT to_number FROM calls"))
        assert dialled == dict.fromkeys(NUMBERS, 1)
        events = connection.execute("SELECT type FROM webhook_events").fetchall()
        assert events == [("campaign.completed",)]
