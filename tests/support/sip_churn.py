"""Two engines that call each other over and over; prints what the process needs after each round, in KiB.

python -m tests.support.sip_churn ROUNDS CALLS
"""

import asyncio
import gc
import sys

import psutil

from worker.exchange.sip import Admission, Answered, Engine, Listener, Timing

SDP = b"v=0\r\no=us 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 41000 RTP/AVP 0\r\n"
EVERYBODY = Admission(sources=("127.0.0.0/8",), per_second=1e6, burst=10**6)
# Nothing is lost here, so that all may be sixteen times as fast.
FAST = Timing(t1_seconds=1 / 32)


def engine() -> Engine:
    """One that takes everything."""
    return Engine([Listener("udp", "127.0.0.1")], admission=EVERYBODY, timing=FAST)


async def main(rounds: int, calls: int) -> None:
    """All rounds."""
    async with engine() as caller, engine() as callee:
        uri = f"sip:agent@127.0.0.1:{callee.addresses[0][2]}"

        async def take() -> None:
            async for dialog in callee.invitations():
                dialog.answer(SDP)

        async def one() -> None:
            dialog = caller.invite(uri, SDP, caller="sip:us@127.0.0.1")
            async for event in dialog.events():
                if isinstance(event, Answered):
                    await dialog.hang_up()

        taking = asyncio.ensure_future(take())
        for _ in range(rounds):
            for _ in range(calls // 20):
                await asyncio.gather(*(one() for _ in range(20)))
            while caller.stats().transactions or callee.stats().transactions:
                await asyncio.sleep(0.1)
            assert caller.stats().dialogs == callee.stats().dialogs == 0
            gc.collect()
            print(psutil.Process().memory_info().rss >> 10, flush=True)  # noqa: T201
        taking.cancel()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
