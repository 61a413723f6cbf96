"""The text process: `python -m worker text`, started when somebody chats, and again when it died.

Thinking means livekit, which costs five seconds and 140 MB, and strangers' functions: not in the api.
"""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncGenerator, Mapping
from typing import NamedTuple

from pydantic import ValidationError

from pipelines.contract.brief import CallBrief
from pipelines.processes.life import LIFE_FD, LifePipe
from pipelines.processes.tree import kill_tree
from pipelines.text_link import FROM_TEXT, MAX_LINE, Answer, Ended, FromText, GoOn, Stop

IDLE_SECONDS = 900.0
"""Unused for this long, its memory is given back."""
_MAX_WAITING = 1000
_SEND_SECONDS = 10.0


class ProcessGone(Exception):
    """The text process died before the answer was whole"""


class _Turn(NamedTuple):
    child: asyncio.subprocess.Process
    frames: "asyncio.Queue[FromText | None]"


class TextProcess:
    """At most one process; each turn is told only of itself."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        """`settings` are added to the environment that this process was given itself."""
        self._settings = settings
        self._child: asyncio.subprocess.Process | None = None
        self._life: LifePipe | None = None
        self._reading: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self._writing = asyncio.Lock()
        self._turns: dict[str, _Turn] = {}
        self._rest: asyncio.TimerHandle | None = None

    @property
    def pid(self) -> int | None:
        """Of the process that runs now."""
        return self._child.pid if self._child is not None and self._child.returncode is None else None

    async def start(self) -> asyncio.subprocess.Process:
        """Have it running. Called early, the first message need not wait for it."""
        async with self._starting:
            if self._child is None or self._child.returncode is not None:
                self._life = self._life or LifePipe()
                self._child = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "worker", "text",
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    limit=MAX_LINE,
                    # The whole environment is handed on, not read: settings are read in their modules alone.
                    env={**os.environ, **self._settings, LIFE_FD: str(self._life.read_fd)},
                    pass_fds=(self._life.read_fd,),
                    start_new_session=True,
                )  # fmt: skip
                self._reading = asyncio.create_task(self._read(self._child), name="text process")
            self._rest_later()
            return self._child

    async def turn(self, turn_id: str, brief: CallBrief, message: str) -> AsyncGenerator[FromText, None]:
        """One answer, `Ended` last. Raises `ProcessGone`. Left early, nobody thinks about it any more."""
        child = await self.start()
        queue: asyncio.Queue[FromText | None] = asyncio.Queue(_MAX_WAITING)
        self._turns[turn_id] = _Turn(child, queue)
        frame: FromText | None = None
        try:
            await self._tell(child, Answer(turn_id=turn_id, brief=brief, message=message))
            while not isinstance(frame, Ended):
                if (frame := await queue.get()) is None or child.returncode is not None:
                    raise ProcessGone
                yield frame
        finally:
            del self._turns[turn_id]
            while not queue.empty():
                queue.get_nowait()  # the reader may wait for room
            self._rest_later()
            if frame is not None and not isinstance(frame, Ended):
                with contextlib.suppress(ProcessGone):
                    await self._tell(child, Stop(turn_id=turn_id))

    async def go_on(self, frame: GoOn) -> None:
        """Let a function run. Raises `ProcessGone`."""
        if self._child is None:
            raise ProcessGone
        await self._tell(self._child, frame)

    async def end(self) -> None:
        """End it, with all that it started; the next turn starts another."""
        if (child := self._child) is not None and child.returncode is None:
            kill_tree(child.pid)
            await child.wait()
        if self._reading is not None:
            await asyncio.gather(self._reading, return_exceptions=True)

    async def close(self) -> None:
        """End it for good."""
        if self._rest is not None:
            self._rest.cancel()
        await self.end()
        if self._life is not None:
            self._life.close()

    async def _tell(self, child: asyncio.subprocess.Process, frame: Answer | GoOn | Stop) -> None:
        assert child.stdin is not None  # noqa: S101 - it was asked for
        try:
            async with self._writing, asyncio.timeout(_SEND_SECONDS):
                child.stdin.write(frame.model_dump_json().encode() + b"\n")
                await child.stdin.drain()
        except (ConnectionError, RuntimeError, TimeoutError):
            raise ProcessGone from None

    async def _read(self, child: asyncio.subprocess.Process) -> None:
        assert child.stdout is not None  # noqa: S101 - it was asked for
        try:
            async for line in child.stdout:
                with contextlib.suppress(ValidationError):  # a line that is not ours
                    frame = FROM_TEXT.validate_json(line)
                    if (turn := self._turns.get(frame.turn_id)) is not None:
                        await turn.frames.put(frame)
        finally:
            kill_tree(child.pid)
            await child.wait()
            for turn in list(self._turns.values()):
                if turn.child is child:
                    await turn.frames.put(None)

    def _rest_later(self) -> None:
        if self._rest is not None:
            self._rest.cancel()
        self._rest = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._rest_now)

    def _rest_now(self) -> None:
        if self._turns:
            self._rest_later()
        elif self._child is not None and self._child.stdin is not None:
            self._child.stdin.close()
            self._child = None
