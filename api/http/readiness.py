"""Whether a call could be answered now: checks that each part registers, asked together."""

import asyncio
from collections.abc import Awaitable, Callable

Check = Callable[[], Awaitable[str]]
"""Returns why this part is not ready; an empty string means that it is."""

TIMEOUT_SECONDS = 2.0


class Readiness:
    """The checks of this process, by name."""

    def __init__(self) -> None:
        self._checks: dict[str, Check] = {}

    def register(self, name: str, check: Check) -> None:
        """Let `name` be asked whenever somebody wants to know."""
        self._checks[name] = check

    async def ask(self) -> dict[str, str]:
        """Every part with why it is not ready; empty where it is. Takes two seconds at most."""
        async with asyncio.TaskGroup() as group:
            asked = {name: group.create_task(_answer(check)) for name, check in self._checks.items()}
        return {name: task.result() for name, task in asked.items()}


async def _answer(check: Check) -> str:
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            return await check()
    except TimeoutError:
        return f"no answer within {TIMEOUT_SECONDS:g} s"
    except Exception as error:  # noqa: BLE001 - a check that breaks is a part that is not ready
        return type(error).__name__
