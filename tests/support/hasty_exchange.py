"""An exchange whose carriers are given up on after three seconds, not 32, and whose sessions are brief."""

import asyncio

from worker.exchange import sip
from worker.exchange.process import exchange
from worker.settings import WorkerSettings

TIMING = sip.Timing(t1_seconds=0.05, session_seconds=4, min_session_seconds=2)


def main() -> None:
    """Until SIGTERM."""
    asyncio.run(exchange(WorkerSettings.load(), TIMING))
