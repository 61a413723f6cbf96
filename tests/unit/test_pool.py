"""The line of those who wait for a connection."""

import asyncio
from typing import Any, cast

import pytest
from sqlalchemy.util import greenlet_spawn
from sqlalchemy.util.queue import Empty

from api.db.pool import FirstCome


def waiting(line: FirstCome, seconds: float = 20.0) -> asyncio.Task[Any]:
    """One who asks, as SQLAlchemy does."""
    return asyncio.create_task(greenlet_spawn(line.get, True, seconds))


def thing(name: str) -> Any:
    """What stands for a connection."""
    return cast("Any", name)


async def test_who_comes_takes_nothing_from_who_waits() -> None:
    line = FirstCome(2)
    first, second = waiting(line), waiting(line)
    await asyncio.sleep(0)
    line.put_nowait(thing("a"))
    with pytest.raises(Empty):  # it is on its way to the first, who did not run yet
        line.get_nowait()
    line.put_nowait(thing("b"))
    assert await asyncio.gather(first, second) == ["a", "b"]


async def test_nothing_is_handed_to_who_gave_up() -> None:
    line = FirstCome(2)
    impatient, gone, patient = waiting(line, 0.01), waiting(line), waiting(line)
    with pytest.raises(Empty):
        await impatient
    gone.cancel()
    await asyncio.wait([gone])
    line.put_nowait(thing("a"))
    assert await patient == "a"
    line.put_nowait(thing("b"))
    assert line.get_nowait() == "b"


async def test_what_is_handed_over_in_the_moment_of_giving_up_goes_to_the_next() -> None:
    line = FirstCome(2)
    gone, next_one = waiting(line), waiting(line)
    await asyncio.sleep(0)
    line.put_nowait(thing("a"))
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    assert await next_one == "a"
