"""A process that acts as a call: holds its socket, spools events, records, until it is done or killed.

`python -m tests.support.spooling_call HOME CALL_ID ATTEMPT EVENTS`: with EVENTS 0 it never ends by itself;
with ATTEMPT 0 it waits for its brief for ever. Prints `here` once it is connected.
"""

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path

from pipelines.contract.events import CallEnded, CallLost, UtteranceHeard
from pipelines.contract.websocket import HangUp
from pipelines.ogg import OpusPages
from pipelines.transcript import Utterance
from worker.presence import CallPresence
from worker.spool import Spool

HEAD = b"OpusHead\x01\x02\x38\x01\x80\xbb\x00\x00\x00\x00\x00"
SILENCE = b"\xfc\xff\xfe"
PAGE_SAMPLES = 10 * 960


def utterance(number: int, text: str = "") -> UtteranceHeard:
    """Something that was said."""
    now = datetime.now(UTC)
    said = Utterance(
        utterance_id=f"utterance_{number}",
        role="user",
        text=text or f"This was said, number {number}, é世界.",
        started_at=now,
        ended_at=now,
    )
    return UtteranceHeard(call_id="", attempt=1, sequence=0, at=now, utterance=said)


def ended(*, has_recording: bool = False) -> CallEnded:
    """An orderly end."""
    return CallEnded(
        call_id="",
        attempt=1,
        sequence=0,
        at=datetime.now(UTC),
        status="completed",
        reason="user_hangup",
        has_recording=has_recording,
    )


def handed_over() -> CallLost:
    """Another process goes on."""
    now = datetime.now(UTC)
    told = {"reason": "handed over", "is_handed_over": True, "has_recording": True}
    return CallLost(call_id="", attempt=1, sequence=0, at=now, **told)


async def main(home: Path, call_id: str, attempt: int, events: int) -> None:
    """Act as a call."""
    async with CallPresence(home / "run" / "calls.sock", call_id, f"job-{call_id}") as presence:
        print("here", flush=True)  # noqa: T201 - what the test waits for
        if attempt == 0:
            await asyncio.sleep(600)
        presence.has_attempt(attempt)
        spool = Spool.open(home / "spool", call_id, attempt)
        pages = OpusPages(HEAD, 7)
        with spool.recording.open("wb", buffering=0) as recording:
            recording.write(pages.headers())
            number = 0
            while not events or number < events:
                number += 1
                spool.append(utterance(number))
                recording.write(pages.page([SILENCE] * 10, 312 + number * PAGE_SAMPLES))
                await asyncio.sleep(0.002)
                if not presence.orders.empty():
                    break
        order = None if presence.orders.empty() else presence.orders.get_nowait()
        if isinstance(order, HangUp) and order.hands_over:
            spool.append(handed_over())
        else:
            spool.append(ended(has_recording=True))
        spool.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
