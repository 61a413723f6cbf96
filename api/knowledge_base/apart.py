"""Work that must not stand in the api's way, done by a process beside it: see `preparing`."""

import asyncio
import contextlib
import json
import sys
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from typing import Any

_PROGRAM = "api.knowledge_base.preparing"
"""Not imported here: what reads documents is 20 MB that the api does without."""
MAX_AT_ONCE = 2
MAX_SECONDS = 1800.0
_LINE_BYTES = 4 * 1024 * 1024

OnProgress = Callable[[str, int, int], None]


class Failed(Exception):
    """It could not be read; the message says why, for its owner"""


class Turns:
    """A few at once, and owners take turns: a thousand documents of one do not keep another's waiting."""

    def __init__(self, at_once: int) -> None:
        self._free = at_once
        self._waiting: OrderedDict[str, list[asyncio.Future[None]]] = OrderedDict()

    @contextlib.asynccontextmanager
    async def turn(self, owner_id: str) -> AsyncIterator[None]:
        """Wait for a turn, and give it back at the end."""
        if self._free:
            self._free -= 1
        else:
            mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.setdefault(owner_id, []).append(mine)
            try:
                await mine
            except BaseException:
                if mine.done() and not mine.cancelled():
                    self._next()  # it was our turn in the moment we left
                raise
        try:
            yield
        finally:
            self._next()

    def _next(self) -> None:
        while self._waiting:
            owner_id, theirs = self._waiting.popitem(last=False)
            first = theirs.pop(0)
            if theirs:
                self._waiting[owner_id] = theirs  # behind everybody else
            if not first.done():
                first.set_result(None)
                return
        self._free += 1


_turns = Turns(MAX_AT_ONCE)
_questions = Turns(MAX_AT_ONCE)
"""Where no models process is, a question is embedded here, too; it does not wait for documents to be read."""


async def run(
    job: dict[str, Any], owner_id: str = "", on_progress: OnProgress = lambda _stage, _done, _total: None
) -> dict[str, Any]:
    """Do one job beside the api; raises `Failed`. Cancelled, or when the api dies, the process ends."""
    async with (_questions if job["do"] == "embed" else _turns).turn(owner_id):
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", _PROGRAM,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=_LINE_BYTES,
        )  # fmt: skip
        try:
            async with asyncio.timeout(MAX_SECONDS):
                return await _follow(child, job, on_progress)
        except TimeoutError:
            raise Failed("Reading this took too long; split it.") from None
        finally:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()


async def _follow(
    child: asyncio.subprocess.Process, job: dict[str, Any], on_progress: OnProgress
) -> dict[str, Any]:
    assert child.stdin is not None  # noqa: S101 - it was asked for
    assert child.stdout is not None  # noqa: S101
    child.stdin.write(json.dumps(job).encode() + b"\n")
    with contextlib.suppress(ConnectionError):
        await child.stdin.drain()
    async for line in child.stdout:
        said = json.loads(line)
        if "result" in said:
            result: dict[str, Any] = said["result"]
            return result
        if "reason" in said:
            raise Failed(said["reason"])
        on_progress(said["stage"], said["done"], said["total"])
    raise Failed("Reading this ended without a result; it may need more memory than there is. Try again.")
