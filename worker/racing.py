"""Wait for whichever of several things happens first."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


async def first(*running: Coroutine[Any, Any, Result | None]) -> Result:
    """The first result that is not None; the others are cancelled and waited for.

    What one of them raises is raised here. None means: done, and nothing decided by it.
    """
    tasks = [asyncio.create_task(each) for each in running]
    try:
        waiting = set(tasks)
        while waiting:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                if (result := task.result()) is not None:
                    return result
        raise RuntimeError("everything is done and nothing was decided")
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
