"""A stranger who floods an address with packets, in a process of its own.

    python -m tests.support.flood PORT A_SECOND SECONDS     prints how many it sent

Every other packet is RTP as a phone would send it, of a stream that nobody knows; the rest is garbage of any
length. Only to 127.0.0.1.
"""

import asyncio
import random
import socket
import sys
import time

from tests.support.stack import ROOT

_BURST = 100
_KINDS = 64


def packets() -> list[bytes]:
    """What it sends, again and again, numbers aside."""
    chance = random.Random(7)  # noqa: S311
    made = []
    for number in range(_KINDS):
        if number % 2:
            made.append(chance.randbytes(chance.choice((0, 1, 11, 12, 60, 200, 1400))))
        else:
            made.append(
                b"\x80\x00" + number.to_bytes(2, "big") + b"\0\0\0\xa0\xde\xad\xbe\xef" + b"\x2a" * 160
            )
    return made


def flood(port: int, a_second: int, seconds: float) -> int:
    """How many left."""
    kinds, sent = packets(), 0
    began = time.monotonic()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind(("127.0.0.1", 0))
        while (passed := time.monotonic() - began) < seconds:
            for _ in range(min(_BURST, int(passed * a_second) - sent)):
                data = kinds[sent % _KINDS]
                if len(data) == 172:  # its numbers go up as those of a phone do
                    data = data[:2] + (sent // 2 & 0xFFFF).to_bytes(2, "big") + data[4:]
                stranger.sendto(data, ("127.0.0.1", port))
                sent += 1
            time.sleep(0.001)
    return sent


async def flooded(port: int, a_second: int, seconds: float) -> int:
    """Flood it from another process; how many left."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.flood", str(port), str(a_second), str(seconds)),
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    told, _ = await process.communicate()
    assert process.returncode == 0
    return int(told)


if __name__ == "__main__":
    print(flood(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))  # noqa: T201
