"""The sweeper: at the start and each minute, starts what a crash between two commits left unstarted."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

_LOG = logging.getLogger(__name__)

EVERY_SECONDS = 60.0
_LONGEST_SECONDS = 120.0

Sweep = Callable[[], Awaitable[object]]


async def sweep_for_ever(sweeps: Mapping[str, Sweep], every_seconds: float = EVERY_SECONDS) -> None:
    """Run every sweep now and then again and again; one that fails does not keep the others from running."""
    while True:
        for name, sweep in sweeps.items():
            try:
                async with asyncio.timeout(_LONGEST_SECONDS):
                    await sweep()
            except Exception:  # noqa: BLE001 - whatever it was, the next round tries again
                _LOG.exception("sweep failed", extra={"sweep": name})
        await asyncio.sleep(every_seconds)
