"""Could this worker answer a call now, and if not, why not."""

import asyncio
import contextlib
import json
import logging
import struct
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from worker.presence import AgentsHere

logger = logging.getLogger(__name__)

ASK_SECONDS = 0.2
ASK_AGAIN_SECONDS = 2.0
"""Once all is well: an answer costs the models process a look at its own memory."""
ANSWER_SECONDS = 2.0
STALE_SECONDS = 5.0
_MAX_ANSWER_BYTES = 1 << 20
_LENGTHS = struct.Struct(">II")


class ModelsProbe:
    """Asks the models process how it is, over and over. `run` until cancelled.

    Speaks the protocol's two words that it needs by itself: the client in `pipelines.local.wire` would
    bring numpy into the supervisor.
    """

    def __init__(self, path: Path, needed: frozenset[str], on_change: Callable[[], None]) -> None:
        """`needed` names the lanes (`transcribe`, …) without which no call can be answered here."""
        self._path = path
        self._needed = needed
        self._on_change = on_change
        self._problem = "the speech models are starting"
        self._answered_at = time.monotonic()

    @property
    def problem(self) -> str:
        """Why no local model can be used now; empty when they can."""
        if not self._problem and time.monotonic() - self._answered_at > STALE_SECONDS:
            return "the speech models do not answer"
        return self._problem

    def lost(self) -> None:
        """The process ended: nobody need be asked to know that no call can be answered."""
        self._problem = "the speech models are starting"
        self._on_change()

    async def run(self) -> None:
        """Ask, for ever."""
        while True:
            before = self.problem
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    health = await self._ask()
            except (OSError, EOFError, TimeoutError, ValueError):
                self._problem = self._problem or "the speech models do not answer"
            else:
                self._answered_at = time.monotonic()
                self._problem = _problem_in(health, self._needed)
            if self.problem != before:
                self._on_change()
            await asyncio.sleep(ASK_SECONDS if self._problem else ASK_AGAIN_SECONDS)

    async def _ask(self) -> object:
        reader, writer = await asyncio.open_unix_connection(str(self._path))
        try:
            question = json.dumps({"id": 1, "op": "health"}).encode()
            writer.write(_LENGTHS.pack(len(question), 0) + question)
            header, payload = _LENGTHS.unpack(await reader.readexactly(_LENGTHS.size))
            if header + payload > _MAX_ANSWER_BYTES:
                raise ValueError("not an answer to health")
            return json.loads((await reader.readexactly(header + payload))[:header])
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


def _problem_in(health: object, needed: frozenset[str]) -> str:
    """What the answer to `health` says that stands in a call's way; empty when nothing does."""
    if not isinstance(health, dict) or health.get("status") != "done":
        return "the speech models do not answer"
    if not health.get("ready"):
        return "the speech models are loading"
    models = health.get("models")
    for name in sorted(needed):
        model = models.get(name) if isinstance(models, dict) else None
        if not isinstance(model, dict) or model.get("state") != "ready":
            why = model.get("why") if isinstance(model, dict) else ""
            return f"the model to {name} with cannot be used" + (f": {why}" if why else "")
    return ""


def why_not(*, is_draining: bool, is_full: bool, agents: Sequence[AgentsHere], models_problem: str) -> str:
    """The first reason why no call can be answered here, empty when one can.

    Reasons are told to whoever asks for a call: clauses for a person.
    """
    registered = [one for one in agents if one.is_registered]
    obstacles = (
        (is_draining, "the worker is stopping"),
        (not agents, "the agent server is starting"),
        (not registered, "the agent server is not connected to livekit-server"),
        (bool(models_problem), models_problem),
        (is_full, "as many calls as allowed are running"),
        (not any(one.idle for one in registered), "no process is warm for another call"),
    )
    return next((reason for stands, reason in obstacles if stands), "")
