"""A call where no room brings a job: its own task and context, and what LiveKit gives to a job of its own.

Calls that share a process must not share a context: traces of one would hang under the other's, and what
LiveKit keeps for "the job" would be the first one's for all.
"""

import asyncio
import contextvars
from collections.abc import Coroutine
from typing import Any

from livekit.agents.testing import fake_job_context
from livekit.agents.utils import http_context


def begin(call: Coroutine[Any, Any, None], job_id: str) -> "asyncio.Task[None]":
    """Run a call by itself. Whoever begins it holds the task."""
    return asyncio.get_running_loop().create_task(
        _as_a_job(call, job_id), name=f"call {job_id}", context=contextvars.Context()
    )


async def _as_a_job(call: Coroutine[Any, Any, None], job_id: str) -> None:
    with fake_job_context(job_id=job_id) as context:
        try:
            # Providers over WebSockets ask for the job's session, and would hear and say nothing without one.
            async with http_context.open():
                await call
        finally:
            # LiveKit does this where it ends a job; its folder would otherwise stay until we stop.
            await context._on_cleanup()
