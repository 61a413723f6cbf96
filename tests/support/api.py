"""The api as it runs: `call2me serve` in a process of its own, on a database of its own."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from tests.support.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "correct horse"
_START_SECONDS = 180
_people = count(1)

AGENT: dict[str, Any] = {
    "agent_name": "Reception",
    "voice_id": "openai-nova",
    "response_engine": {"type": "call2me-llm", "system_prompt": "You answer the phone."},
}
"""The least that an agent needs."""


@dataclass(frozen=True)
class Reply:
    """One answer, read to its end."""

    status: int
    headers: dict[str, str]
    raw: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.raw)

    @property
    def detail(self) -> Any:
        """What the contract says went wrong."""
        return self.json["detail"]


@dataclass
class Api:
    """A running api and what one asks it. Header names are in lower case."""

    url: str
    home: Path
    log: Path
    environment: dict[str, str] = field(repr=False)

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str = "",
        raw: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Reply:
        """Send one request. `raw` is a body as it stands, `body` one to be written as JSON."""
        sent = {"Content-Type": "application/json", **(headers or {})}
        if token:
            sent["Authorization"] = f"Bearer {token}"
        data = raw if raw is not None else (None if body is None else json.dumps(body).encode())
        request = urllib.request.Request(  # noqa: S310 - always our own loopback address
            self.url + path, data=data, headers=sent, method=method
        )
        try:
            with _OPENER.open(request, timeout=30) as reply:
                return Reply(reply.status, _lowered(reply.headers), reply.read())
        except urllib.error.HTTPError as error:
            with error:
                return Reply(error.code, _lowered(error.headers), error.read())

    def person(self) -> "Person":
        """Somebody new, signed in."""
        email = f"person{next(_people)}@example.com"
        reply = self.ask("POST", "/v1/auth/register", {"email": email, "password": PASSWORD})
        assert reply.status == 200, reply.raw
        return Person(self, email, reply.json)

    @property
    def secrets(self) -> dict[str, str]:
        """What the api signs and shares with."""
        kept: dict[str, str] = json.loads((self.home / "secrets.json").read_text())
        return kept


@dataclass
class Person:
    """A user who is signed in."""

    api: Api
    email: str
    credentials: dict[str, Any]

    @property
    def token(self) -> str:
        """The access token."""
        return str(self.credentials["access_token"])

    def ask(self, method: str, path: str, body: Any = None, **options: Any) -> Reply:
        """Send one request with this person's token."""
        return self.api.ask(method, path, body, token=self.token, **options)

    def made(self, path: str, body: Any) -> dict[str, Any]:
        """What a POST that must answer 201 has made."""
        reply = self.ask("POST", path, body)
        assert reply.status == 201, reply.raw
        made: dict[str, Any] = reply.json
        return made


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirects)


def _lowered(headers: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


@contextmanager
def running_api(home: Path, database_url: str = "", **settings: str) -> Iterator[Api]:
    """Migrate and serve until the block ends. Settings are environment variables."""
    environment = {
        **{
            name: value
            for name, value in os.environ.items()
            if name in {"PATH", "HOME", "LANG", "VIRTUAL_ENV"}
        },
        "PYTHONPATH": str(ROOT),
        "CALL2ME_HOME": str(home),
        "CALL2ME_DATABASE_URL": database_url,
        "CALL2ME_LOG_FORMAT": "json",
        "CALL2ME_RATE_LIMITS": "off",
        "CALL2ME_LIVEKIT_PORT": str(free_port()),
        **settings,
    }
    command = [sys.executable, "-m", "api.cli"]
    home.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        [*command, "migrate"],
        env=environment,
        cwd=home,
        check=True,
        stdout=subprocess.DEVNULL,
        timeout=_START_SECONDS,
    )
    # Chosen last: what is free now may be somebody else's when the tables are made.
    port = int(settings.get("CALL2ME_PORT") or free_port())
    environment["CALL2ME_PORT"] = str(port)
    log = home / "api.log" if not (home / "api.log").exists() else home / f"api-{port}.log"
    with log.open("wb") as written:
        process = subprocess.Popen(
            [*command, "serve"], env=environment, cwd=home, stdout=written, stderr=written
        )
    api = Api(f"http://127.0.0.1:{port}", home, log, environment)
    try:
        _wait(api, process)
        yield api
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


def _wait(api: Api, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            if api.ask("GET", "/health/live").status == 200:
                return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the api did not start:\n{api.log.read_text()}") from None
            time.sleep(0.05)
