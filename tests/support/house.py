"""An api that can hold calls: a real livekit-server behind it, and a worker that we own."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from api.settings import Settings
from tests.support.api import AGENT, Api, Person, running_api
from tests.support.livekit_server import LiveKitServer, running_livekit
from tests.support.ports import free_port
from tests.support.rehearsed_worker import RehearsedWorker

ENGLISH_AGENT = {**AGENT, "language": "en-US", "enable_recording": True}


@dataclass
class House:
    """Everything that a call passes through, without the voice."""

    api: Api
    livekit: LiveKitServer
    worker: RehearsedWorker
    started_at: float = field(default_factory=time.monotonic)

    def person(self) -> Person:
        """Somebody new, with an agent."""
        person = self.api.person()
        person.made("/v1/agents", ENGLISH_AGENT)
        return person

    def token(self, person: Person, **asked: Any) -> dict[str, Any]:
        """A token that must be given."""
        reply = person.ask("POST", "/v1/livekit/token", asked)
        assert reply.status == 200, reply.raw
        token: dict[str, Any] = reply.json
        return token

    def call(self, person: Person) -> str:
        """A call that the worker has taken; its id."""
        call_id: str = self.token(person)["call_id"]
        assert self.worker.brief(call_id, f"job-{call_id}").status == 200
        self.worker.status["call_ids"] = [*self.worker.status["call_ids"], call_id]
        return call_id


@contextmanager
def running_house(home: Path, database_url: str = "", **settings: str) -> Iterator[House]:
    """Everything started, and the worker known. `settings` are the api's."""
    names = ("CALL2ME_PORT", "CALL2ME_LIVEKIT_PORT", "CALL2ME_LIVEKIT_UDP_PORT")
    ports = {name: str(free_port()) for name in names}
    known = Settings.load({"CALL2ME_HOME": str(home), **ports})
    with (
        running_livekit(known) as livekit,
        running_api(home, database_url, **ports, **settings) as api,
        RehearsedWorker(api) as worker,
    ):
        deadline = time.monotonic() + 20
        while api.ask("GET", "/v1/livekit/health").json["workers"] == 0:
            assert time.monotonic() < deadline, "the worker's first word did not come"
            time.sleep(0.05)
        yield House(api, livekit, worker)
