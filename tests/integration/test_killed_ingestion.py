"""A document is read exactly once, wherever the api is killed."""

import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.api import ROOT, Api, Person, running_api
from tests.support.dying_ingestion import POINTS
from tests.support.knowledge import asked, read, uploaded
from tests.support.ports import free_port

SECRET = {"CALL2ME_JWT_SECRET": "j" * 40}


@pytest.mark.slow
def test_a_document_that_meets_a_death_at_every_step_is_read_once(tmp_path: Path) -> None:
    """One document, killed at the first point, begun again and killed at the second, and so on."""
    home = tmp_path / "home"
    with running_api(home, **SECRET) as api:
        person = api.person()
    base_id = ""
    for point in POINTS:
        port = free_port()
        environment = {**api.environment, "CALL2ME_PORT": str(port)}
        with (home / "dying.log").open("wb") as log:
            dying = subprocess.Popen(
                [sys.executable, "-m", "tests.support.dying_ingestion", point],
                env=environment, cwd=ROOT, stdout=log, stderr=log,
            )  # fmt: skip
        try:
            deadline = time.monotonic() + 90
            while dying.poll() is None:
                assert time.monotonic() < deadline, f"the api did not die: {point}"
                time.sleep(0.05)
                if not base_id:
                    base_id = _begin(Api(f"http://127.0.0.1:{port}", home, home / "x", environment), person)
        finally:
            dying.kill()
            dying.wait()
        assert dying.returncode == -9, (point, (home / "dying.log").read_text()[-2000:])
    with running_api(home, **SECRET) as api:
        person = Person(api, person.email, person.credentials)
        (listed,) = person.ask("GET", "/v1/knowledge-base").json
        done = read(person, listed["knowledge_base_id"])
        assert (done["status"], done["chunk_count"], done["source_count"]) == ("complete", 1, 1)
        (source,) = done["knowledge_base_sources"]
        assert asked(person, done, "Bluebird")["results"][0]["source_id"] == source["source_id"]
        base_id, source_id = done["knowledge_base_id"], source["source_id"]
        names = {path.name for path in (home / "knowledge").iterdir() if not path.name.startswith(".")}
        assert names == {f"{source_id}.raw", f"{source_id}-1.part", f"{base_id}-1.index"}
        assert person.ask("DELETE", f"/v1/knowledge-base/{base_id}").status == 204
        assert [path for path in (home / "knowledge").iterdir() if not path.name.startswith(".")] == []


def _begin(api: Api, person: Person) -> str:
    """Upload the document once the api listens; what it answers may be lost with it."""
    with suppress(OSError):
        if api.ask("GET", "/health/live").status == 200:
            with suppress(OSError):
                uploaded(
                    Person(api, person.email, person.credentials),
                    {"files": ("guide.txt", b"The network for visitors is called Bluebird.")}, "Guide",
                )  # fmt: skip
            return "begun"
    return ""
