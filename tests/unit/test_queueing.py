"""Who waits for a line: how many may, and what a shard makes of a place that it is told too late."""

import asyncio
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from pipelines.agent_config import AgentConfig
from pipelines.contract.brief import CallBrief
from pipelines.contract.brief import Queue as Terms
from worker.exchange.queue import MOST, Queue, Waiter
from worker.lines.line import LineClosed
from worker.lines.queueing import Place
from worker.queueing import waited


async def never() -> Any:
    """Nothing of the kind happens."""
    await asyncio.Event().wait()


class Line:
    """Whoever is at its other side hears music."""

    rate = 8000

    def __init__(self, place: int) -> None:
        self.place, self.has_gone_on = Place(place), False

    async def announce(self, pcm: bytes) -> None:
        """Nobody listens here."""

    async def digit(self) -> str:
        return await never()

    async def closed(self) -> LineClosed:
        return await never()

    def go_on(self) -> None:
        self.has_gone_on = True


async def test_whose_turn_it_is_before_their_shard_has_looked_hears_no_more_music() -> None:
    terms = Terms(until=datetime.now(UTC) + timedelta(minutes=1))
    brief = CallBrief(call_id="c1", agent=AgentConfig(agent_id="a", name="A"), queue=terms)
    pipeline: Any = SimpleNamespace(language="en")
    line: Any = Line(place=1)
    line.place.move(0)
    assert await waited(line, brief, pipeline, never, str) is None
    assert line.has_gone_on
    line = Line(place=0)
    assert await waited(line, brief, pipeline, never, str) is None
    assert not line.has_gone_on, "it never waited"


def test_who_is_asked_about_counts_among_those_who_wait() -> None:
    queue, number = Queue(lambda: True, lambda call: None), "+14155550100"
    with queue.asking(number) as first, queue.asking(number) as second, queue.asking("+1") as other:
        assert (first, second, other) == (0, 1, 0)
    with queue.asking(number) as again:
        assert again == 0
    dialog: Any = None
    for _ in range(MOST - 1):
        queue.enter(Waiter(dialog))
    assert not queue.is_closed
    with queue.asking(number):
        assert queue.is_closed
