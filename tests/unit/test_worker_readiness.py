"""Whether a worker could answer a call now, and what it says when it could not."""

import asyncio
import contextlib
import json
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.worker_host import short_home, until
from worker import readiness
from worker.presence import AgentsHere
from worker.readiness import ModelsProbe, why_not

READY = {"transcribe": {"state": "ready"}, "synthesize": {"state": "ready"}}


@pytest.fixture
def path(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(readiness, "ASK_SECONDS", 0.01)
    monkeypatch.setattr(readiness, "ASK_AGAIN_SECONDS", 0.01)
    with short_home() as home:
        yield home / "run" / "models.sock"


def agents(*, is_registered: bool = True, idle: int = 2) -> AgentsHere:
    return AgentsHere(pid=1, is_registered=is_registered, idle=idle)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, ""),
        ({"agents": []}, "the agent server is starting"),
        ({"agents": [agents(is_registered=False)]}, "livekit-server"),
        ({"agents": [agents(idle=0), agents(is_registered=False)]}, "no process is warm"),
        ({"models_problem": "the speech models are loading"}, "the speech models are loading"),
        ({"is_full": True}, "as many calls as allowed"),
        ({"is_draining": True, "agents": []}, "the worker is stopping"),
    ],
)
def test_the_first_thing_in_the_way_is_the_reason(changes: dict[str, Any], reason: str) -> None:
    state: dict[str, Any] = {
        "is_draining": False,
        "is_full": False,
        "agents": [agents(is_registered=False), agents()],
        "models_problem": "",
        **changes,
    }
    said = why_not(**state)
    assert reason in said
    assert bool(said) == bool(reason)


@asynccontextmanager
async def models(path: Path, answers: list[bytes]) -> AsyncIterator[None]:
    """A models process that answers every `health` with the last of `answers`."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            header, _ = struct.unpack(">II", await reader.readexactly(8))
            if json.loads(await reader.readexactly(header))["op"] == "health":
                writer.write(answers[-1])
        writer.close()

    server = await asyncio.start_unix_server(serve, str(path))
    try:
        yield
    finally:
        server.close()
        await asyncio.sleep(0.05)  # connections that were just made are closed, too


def answer(**header: Any) -> bytes:
    body = json.dumps({"id": 1, "status": "done", **header}).encode()
    return struct.pack(">II", len(body), 0) + body


@asynccontextmanager
async def probing(path: Path, *needed: str) -> AsyncIterator[ModelsProbe]:
    probe = ModelsProbe(path, frozenset(needed), lambda: None)
    running = asyncio.create_task(probe.run())
    try:
        yield probe
        assert not running.done()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_models_are_usable_once_they_say_so(path: Path) -> None:
    async with probing(path, "transcribe") as probe:
        assert probe.problem == "the speech models are starting"
        answers = [answer(ready=False, models={})]
        async with models(path, answers):
            await until(lambda: probe.problem == "the speech models are loading")
            answers.append(answer(ready=True, models=READY))
            await until(lambda: not probe.problem)


async def test_a_model_that_a_call_needs_and_cannot_have_is_named_with_its_reason(path: Path) -> None:
    broken = {**READY, "transcribe": {"state": "unavailable", "why": "the weights are damaged"}}
    async with models(path, [answer(ready=True, models=broken)]):
        async with probing(path, "transcribe") as probe:
            await until(lambda: "the weights are damaged" in probe.problem)
        async with probing(path) as probe:
            await until(lambda: not probe.problem)


@pytest.mark.parametrize(
    "sent", [b"", b"\xff" * 8, struct.pack(">II", 2, 0) + b"[]", struct.pack(">II", 3, 0) + b"{{{"]
)
async def test_what_is_no_answer_is_no_readiness(path: Path, sent: bytes) -> None:
    async with models(path, [sent]), probing(path) as probe:
        await asyncio.sleep(0.1)
        assert probe.problem


async def test_models_that_stop_answering_are_not_believed_for_long(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "STALE_SECONDS", 0.1)
    async with probing(path) as probe:
        async with models(path, [answer(ready=True, models=READY)]):
            await until(lambda: not probe.problem)
        await until(lambda: probe.problem == "the speech models do not answer")


async def test_models_that_ended_are_not_waited_for_to_be_unusable(path: Path) -> None:
    answers = [answer(ready=True, models=READY)] * 50
    async with probing(path, "transcribe") as probe, models(path, answers):
        await until(lambda: not probe.problem)
        probe.lost()
        assert probe.problem == "the speech models are starting"
