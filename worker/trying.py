"""Developers' functions tried for the api: each in a process of its own, which a bad one cannot outlive."""

import asyncio
import contextlib
import json
import logging
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from pydantic import ValidationError

from pipelines.contract.websocket import FunctionTried, TryFunction
from worker.functions import kept_code

logger = logging.getLogger(__name__)

MAX_RESULT_BYTES = 256 * 1024
START_SECONDS = 25.0


class Tries:
    """One after the other: nobody on a call waits for the sake of a test."""

    def __init__(self, folder: Path, run: Path) -> None:
        self._folder, self._run = folder, run
        self._orders: asyncio.Queue[TryFunction] = asyncio.Queue(maxsize=8)

    def ask(self, order: TryFunction) -> None:
        """Take an order; one that does not fit any more is given up by whoever gave it."""
        with contextlib.suppress(asyncio.QueueFull):
            self._orders.put_nowait(order)

    async def run(self, answer: Callable[[FunctionTried], Awaitable[None]]) -> None:
        """Do what is ordered, for ever."""
        while True:
            await answer(await try_function(await self._orders.get(), self._folder, self._run))


async def try_function(order: TryFunction, folder: Path, run: Path) -> FunctionTried:
    """Run it; whatever happens is an answer."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "pipelines.tools.run_function",
        str(folder),
        str(kept_code(run)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(START_SECONDS + order.timeout_ms / 1000):
            output, _ = await process.communicate(order.model_dump_json().encode())
        if len(output) > MAX_RESULT_BYTES:
            return _failed(order, "The result is too long.")
        return FunctionTried.model_validate({**json.loads(output), "order_id": order.order_id})
    except TimeoutError:
        return _failed(order, "The function did not end in time.")
    except (ValueError, ValidationError):
        return _failed(order, "The function ended its process.")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _failed(order: TryFunction, sentence: str) -> FunctionTried:
    logger.info("a function was tried in vain", extra={"why": sentence})
    return FunctionTried(order_id=order.order_id, ok=False, error=sentence)
