"""A document and a site are read exactly once, wherever the api is killed."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.support.api import ROOT, Api, Person, running_api
from tests.support.dying_ingestion import POINTS, SITE_POINTS
from tests.support.knowledge import asked, read, uploaded
from tests.support.ports import free_port

SECRET = {"CALL2ME_JWT_SECRET": "j" * 40}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_document_that_meets_a_death_at_every_step_is_read_once(tmp_path: Path) -> None:
    """One document, killed at the first point, begun again and killed at the second, and so on."""
    home = tmp_path / "home"
    with running_api(home, **SECRET) as api:
        person = api.person()
    _die_at(POINTS, api, person, home, _upload)
    with running_api(home, **SECRET) as api:
        person = Person(api, person.email, person.credentials)
        (listed,) = person.ask("GET", "/v1/knowledge-base").json
        done = read(person, listed["knowledge_base_id"])
        assert (done["status"], done["chunk_count"], done["source_count"]) == ("complete", 1, 1)
        (source,) = done["knowledge_base_sources"]
        assert asked(person, done, "Bluebird")["results"][0]["source_id"] == source["source_id"]
        base_id, source_id = done["knowledge_base_id"], source["source_id"]
        assert _stored(home) == {f"{source_id}.raw", f"{source_id}-1.part", f"{base_id}-1.index"}
        assert person.ask("DELETE", f"/v1/knowledge-base/{base_id}").status == 204
        assert _stored(home) == set()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_site_that_meets_a_death_at_every_step_is_read_once(tmp_path: Path, site: str) -> None:
    home = tmp_path / "home"
    allowed = SECRET | {"CALL2ME_ALLOW_HOSTS": site.removeprefix("http://").rstrip("/")}
    with running_api(home, **allowed) as api:
        person = api.person()

    def add(person: Person) -> None:
        sites = [{"url": site, "max_pages": 5}]
        body = {"knowledge_base_name": "Hall", "embedder": "words", "knowledge_base_sites": sites}
        person.made("/v1/knowledge-base", body)

    _die_at(SITE_POINTS, api, person, home, add)
    with running_api(home, **allowed) as api:
        person = Person(api, person.email, person.credentials)
        (listed,) = person.ask("GET", "/v1/knowledge-base").json
        done = read(person, listed["knowledge_base_id"])
        assert (done["status"], done["source_count"]) == ("complete", 1), done
        (source,) = done["knowledge_base_sources"]
        assert source["site"]["page_count"] == len(PAGES)
        for word in ("Bluebird", "Kingfisher", "Heron"):
            assert word in asked(person, done, word)["results"][0]["content"]
        base_id, source_id = done["knowledge_base_id"], source["source_id"]
        names = _stored(home)
        assert sum(name.endswith(".page") for name in names) == len(PAGES), names
        made = {f"{source_id}-1.site", f"{source_id}-1.part", f"{base_id}-1.index"}
        assert {name for name in names if not name.endswith(".page")} == made
        assert person.ask("DELETE", f"/v1/knowledge-base/{base_id}").status == 204
        assert _stored(home) == set()


PAGES = {
    "/": "The hall's network for visitors is called Bluebird and needs no password.",
    "/rooms": "The largest room of the hall is called Kingfisher and seats ninety people.",
    "/food": "The kitchen of the hall is called Heron and closes at half past nine.",
}


@pytest.fixture
def site() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            text = PAGES.get(self.path)
            links = "".join(f'<a href="{path}">on</a>' for path in PAGES)
            page = (
                f"<html><head><title>Hall</title></head><body>{links}<main><p>{text}</p></main></body></html>"
            )
            self.send_response(200 if text else 404)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(page.encode())

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def _stored(home: Path) -> set[str]:
    return {path.name for path in (home / "knowledge").iterdir() if not path.name.startswith(".")}


def _die_at(
    points: Iterable[str], api: Api, person: Person, home: Path, add: Callable[[Person], object]
) -> None:
    """Serve and die at each point in turn; what is to be read is added by the first that listens."""
    is_added = False
    for point in points:
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
                if not is_added:
                    dead = Api(f"http://127.0.0.1:{port}", home, home / "x", environment)
                    is_added = _begin(dead, person, add)
        finally:
            dying.kill()
            dying.wait()
        assert dying.returncode == -9, (point, (home / "dying.log").read_text()[-2000:])


def _begin(api: Api, person: Person, add: Callable[[Person], object]) -> bool:
    """Add it once the api listens; what it answers may be lost with it."""
    with suppress(OSError):
        if api.ask("GET", "/health/live").status == 200:
            with suppress(OSError):
                add(Person(api, person.email, person.credentials))
            return True
    return False


def _upload(person: Person) -> None:
    files = {"files": ("guide.txt", b"The network for visitors is called Bluebird.")}
    uploaded(person, files, "Guide")
