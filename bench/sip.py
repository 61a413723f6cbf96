"""What a call costs the SIP engine, and whether ten minutes of calls leave anything behind.

    python -m bench.sip                                200 set-ups a minute for ten minutes
    python -m bench.sip --minutes 2 --a-minute 600

The caller is sipp where it is installed, else a second engine in another process. Only signalling: no sound.
"""

import argparse
import asyncio
import gc
import shutil
import sys
import time

import psutil

from worker.exchange.sip import Admission, Answered, Dialog, Ended, Engine, Listener

SDP = b"v=0\r\no=us 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 41000 RTP/AVP 0\r\n"
TALK_SECONDS = 3
EVERYBODY = Admission(sources=("127.0.0.0/8",), per_second=1e6, burst=10**6)


async def answered(dialog: Dialog) -> None:
    """One call until its end."""
    dialog.answer(SDP)
    async for _ in dialog.events():
        pass


async def callee(minutes: float, a_minute: int) -> None:
    """Takes calls, and prints what they cost."""
    async with Engine([Listener("udp", "127.0.0.1")], admission=EVERYBODY) as engine:
        process = psutil.Process()
        caller = await calls(engine.addresses[0][2], minutes, a_minute)
        taken = 0
        began, cpu = time.monotonic(), sum(process.cpu_times()[:2])

        async def take() -> None:
            nonlocal taken
            async with asyncio.TaskGroup() as group:
                async for dialog in engine.invitations():
                    taken += 1
                    group.create_task(answered(dialog))

        taking = asyncio.ensure_future(take())
        for minute in range(int(minutes) + 2):
            await asyncio.sleep(60 if minute <= minutes else 0)
            gc.collect()
            stats = engine.stats()
            used = sum(process.cpu_times()[:2]) - cpu
            print(
                f"{time.monotonic() - began:5.0f} s  {taken:6} calls  {stats.dialogs:4} dialogs  "
                f"{stats.transactions:5} transactions  {process.memory_info().rss / 2**20:6.1f} MB  "
                f"{process.num_fds():3} files  {1000 * used / max(taken, 1):5.2f} CPU-ms a call",
                flush=True,
            )
        taking.cancel()
        await caller.wait()
        print(f"the caller ended with {caller.returncode}")


async def calls(port: int, minutes: float, a_minute: int) -> asyncio.subprocess.Process:
    """Somebody who calls."""
    number = str(int(minutes * a_minute))
    if sipp := shutil.which("sipp"):
        rate = ["-r", str(a_minute), "-rp", "60000", "-m", number, "-l", "10000"]
        fixed = ["-sn", "uac", "-i", "127.0.0.1", "-nostdin", "-d", str(TALK_SECONDS * 1000)]
        command = [sipp, *fixed, *rate, f"127.0.0.1:{port}"]
    else:
        command = [sys.executable, "-m", "bench.sip", "--call", str(port), number, str(a_minute)]
    quiet = asyncio.subprocess.DEVNULL
    return await asyncio.create_subprocess_exec(*command, stdout=quiet, stderr=quiet)


async def caller(port: int, number: int, a_minute: int) -> None:
    """Calls so many times; fails when one call fails."""
    async with Engine([Listener("udp", "127.0.0.1")]) as engine, asyncio.TaskGroup() as group:

        async def one() -> None:
            dialog = engine.invite(f"sip:agent@127.0.0.1:{port}", SDP, caller="sip:us@127.0.0.1")
            async for event in dialog.events():
                if isinstance(event, Answered):
                    await asyncio.sleep(TALK_SECONDS)
                    await dialog.hang_up()
                elif isinstance(event, Ended) and event.by != "us":
                    raise RuntimeError(f"a call failed: {event}")

        for _ in range(number):
            group.create_task(one())
            await asyncio.sleep(60 / a_minute)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--a-minute", type=int, default=200)
    parser.add_argument("--call", nargs=3, type=int, metavar=("PORT", "NUMBER", "A_MINUTE"))
    chosen = parser.parse_args()
    if chosen.call:
        asyncio.run(caller(*chosen.call))
    else:
        asyncio.run(callee(chosen.minutes, chosen.a_minute))


if __name__ == "__main__":
    main()
