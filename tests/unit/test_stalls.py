"""What holds up the loop is named, once a call; the loop itself is nobody."""

import asyncio
import sys
import time

from worker.watchdog import stalls


def blocks() -> None:
    time.sleep(1.0)


async def test_what_holds_the_loop_up_is_named_once() -> None:
    warned: list[tuple[str, str]] = []
    both = [asyncio.create_task(stalls.told(lambda *it: warned.append(it))) for _ in range(2)]
    await asyncio.sleep(0.1)
    for _ in range(10):  # a machine that is busy itself is given the benefit of the doubt
        blocks()
        await asyncio.sleep(0.1)
        if warned:
            break
    blocks()
    await asyncio.sleep(0.1)
    for task in both:
        task.cancel()
    await asyncio.gather(*both, return_exceptions=True)
    ours = [
        message for code, message in warned if code == "loop_stalled" and "test_stalls.py:blocks" in message
    ]
    assert len(ours) == 2, "once for each call, however often"
    assert stalls._WATCH._beating is None, "nobody follows any more"


def test_the_loop_itself_is_nobody() -> None:
    assert stalls.place_of(None) == ""
    assert stalls.place_of(sys._getframe()) == "test_stalls.py:test_the_loop_itself_is_nobody"

    async def frame_of_the_loop() -> object:
        frame = sys._getframe()
        while frame.f_back is not None and "asyncio" not in frame.f_code.co_filename:
            frame = frame.f_back
        return frame

    assert stalls.place_of(asyncio.run(frame_of_the_loop())) == ""  # type: ignore[arg-type]
