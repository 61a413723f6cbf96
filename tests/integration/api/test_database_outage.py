"""PostgreSQL goes away and comes back while the api runs."""

import time
from pathlib import Path

from tests.support.api import AGENT, running_api
from tests.support.postgres import postgres


def test_requests_say_that_the_database_is_gone_and_recover_by_themselves(tmp_path: Path) -> None:
    with postgres() as server, running_api(tmp_path, server.database()) as api:
        person = api.person()
        person.made("/v1/agents", AGENT)
        server.stop()
        gone = person.ask("GET", "/v1/agents")
        assert gone.status == 503
        assert "database" in gone.detail
        assert api.ask("GET", "/health").json["checks"]["database"] == "down"
        assert api.ask("GET", "/ready").json["checks"]["database"] != "up"
        assert api.ask("GET", "/health/live").status == 200

        server.start()
        deadline = time.monotonic() + 10
        while (back := person.ask("GET", "/v1/agents")).status != 200 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert len(back.json) == 1
