"""Being forgotten, and an export, go on when the api is killed right after it promised them."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.support.api import AGENT, PASSWORD, Api, running_api


def kill(api: Api) -> None:
    """As a power cut would."""
    port = api.url.rpartition(":")[2]
    for process in psutil.Process().children():
        if process.environ().get("CALL2ME_PORT") == port and process.cmdline()[-1] == "serve":
            os.kill(process.pid, signal.SIGKILL)
            process.wait(10)
            return
    raise AssertionError("this api has no process")


def wait(is_so: Callable[[], bool], seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.mark.parametrize("after_seconds", [0.0, 0.02, 0.1])
def test_an_erasure_that_was_promised_is_done_by_the_next_process(
    tmp_path: Path, after_seconds: float
) -> None:
    home = tmp_path / "home"
    with running_api(home) as api:
        person = api.person()
        for number in range(20):
            person.made("/v1/agents", {**AGENT, "agent_name": f"Agent {number}"})
        farewell = {"email": person.email, "password": PASSWORD}
        assert person.ask("DELETE", "/v1/users/me", farewell).status == 202
        time.sleep(after_seconds)
        kill(api)
    with running_api(home) as api:
        # The address is free again once nothing of its owner is left.
        again = {"email": person.email, "password": PASSWORD}
        wait(lambda: api.ask("POST", "/v1/auth/register", again).status == 200)


def test_an_export_that_was_promised_is_made_by_the_next_process(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with running_api(home) as api:
        person = api.person()
        export_id = person.ask("POST", "/v1/users/me/exports").json["export_id"]
        kill(api)
    with running_api(home) as api:
        path = f"/v1/users/me/exports/{export_id}"
        wait(lambda: api.ask("GET", path, token=person.token).json["status"] == "complete")
        assert api.ask("GET", f"{path}/download", token=person.token).raw[:2] == b"PK"
