"""SIP goes on while Python does not: its timers are on a thread of their own."""

import asyncio
import json
import sys
import time
from pathlib import Path

import pytest

from tests.integration.sip.conftest import OFFER
from tests.support.ear import Ear
from tests.support.sip_messages import sdp
from worker.exchange.sip import Answered, Engine

# The far end of this test must not be in the process that stands still.
FAR = """
import asyncio, json, sys
from tests.support.far_end import FarEnd, answers
from tests.support.sip_messages import sdp

async def main(port):
    far = FarEnd()
    await far.start()
    async def late(call):
        await asyncio.sleep(1)
        await answers(call)
    far.on("late", late)
    begun = far.begin(port, "agent", body=sdp())
    print(far.port, flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    calls = [
        {"user": call.invite.user, "sent_again": call.retransmissions, "acks": len(call.of("ACK"))}
        for call in far.calls if not call.is_ours
    ]
    print(json.dumps({"calls": calls, "ours": begun.codes()}), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)

asyncio.run(main(int(sys.argv[1])))
"""


async def test_three_seconds_without_python_lose_no_timer(engine: Engine) -> None:
    pipe = asyncio.subprocess.PIPE
    command = [sys.executable, "-c", FAR, str(engine.addresses[0][2])]
    far = await asyncio.create_subprocess_exec(
        *command, stdin=pipe, stdout=pipe, cwd=Path(__file__).parents[3]
    )
    assert far.stdout is not None
    assert far.stdin is not None
    port = int(await far.stdout.readline())
    dialog = await anext(aiter(engine.invitations()))
    dialog.answer(sdp().encode())
    ears = [
        Ear(engine.invite(f"sip:late@127.0.0.1:{port}", OFFER, caller="sip:us@127.0.0.1")) for _ in range(10)
    ]
    await asyncio.sleep(0.3)
    # All that comes now is the engine's to do: the ACKs of ten answers, the repetitions of one answer.
    time.sleep(3)  # noqa: ASYNC251
    await asyncio.gather(*(ear.hear(Answered) for ear in ears))
    far.stdin.write(b"\n")
    seen = json.loads(await far.stdout.readline())
    assert len(seen["calls"]) == 10
    for call in seen["calls"]:
        # An answer that is not acknowledged within half a second is repeated.
        assert call["acks"] == 1
        assert call["sent_again"] <= 1
    # Nobody acknowledged our own answer: 0, 0.5, 1.5 and 3.5 s.
    assert seen["ours"].count(200) >= 3
    await asyncio.gather(*(ear.dialog.hang_up() for ear in ears), dialog.hang_up())
    far.stdin.write(b"\n")
    await far.wait()


@pytest.mark.slow
async def test_many_calls_leave_nothing_behind() -> None:
    command = [sys.executable, "-m", "tests.support.sip_churn", "4", "400"]
    pipe = asyncio.subprocess.PIPE
    churn = await asyncio.create_subprocess_exec(*command, stdout=pipe, cwd=Path(__file__).parents[3])
    output, _ = await asyncio.wait_for(churn.communicate(), 120)
    assert churn.returncode == 0
    needed = [int(line) for line in output.split()]
    # The first round warms everything up. Then a call leaves at most what is remembered of it for a minute.
    assert needed[-1] - needed[1] < 800 * 4, needed
