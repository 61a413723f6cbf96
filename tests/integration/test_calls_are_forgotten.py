"""What telephone calls leave behind: nothing. Exchange and shard are processes, as they run."""

import asyncio
from typing import Any

import pytest

from tests.support.counted import TRANSACTIONS
from tests.support.leftovers import EXCHANGE, SHARD, Left, left
from tests.support.telephony import NUMBER, Stage, sockets, staged
from worker.exchange import sdp, sip

pytestmark = [pytest.mark.phones, pytest.mark.timeout(180)]
WARM, CALLS, AT_ONCE = 8, 32, 4
SPARE = CALLS // 5
"""What comes and goes by itself: a connection that is kept open, a thread of a pool."""


async def _call(stage: Stage, carrier: sip.Engine, address: Any, seconds: float) -> None:
    """Somebody calls and hangs up, while the agent begins or in its first words."""
    dialog = carrier.invite(
        f"sip:{NUMBER}@127.0.0.1:{stage.sip_port}", sdp.Ours(address, 9).offer(), caller="sip:+1415@carrier"
    )
    async for event in dialog.events():
        if isinstance(event, sip.Answered):
            await asyncio.sleep(seconds)
            await dialog.hang_up()
        elif isinstance(event, sip.Ended):
            assert event.code in (0, 200), event


async def _calls(stage: Stage, carrier: sip.Engine, calls: int) -> None:
    mine, address = sockets()

    async def one_after_the_other() -> None:
        for nth in range(calls // AT_ONCE):
            await _call(stage, carrier, address, 0.3 * (nth % 2))

    with mine:
        await asyncio.gather(*(one_after_the_other() for _ in range(AT_ONCE)))
    rang = len(stage.rang)
    await stage.until(lambda: sum(told.state == "ended" for _, told in stage.told) == rang, 90)
    await stage.until(lambda: not stage.liveness.calls, 90)


def _more(now: Left, was: Left) -> dict[str, Any]:
    """What is left that was not there before."""
    more = {kind: count - was.held.get(kind, 0) for kind, count in now.held.items() if kind != TRANSACTIONS}
    more |= {"threads": now.threads - was.threads, "descriptors": now.descriptors - was.descriptors}
    found: dict[str, Any] = {kind: count for kind, count in more.items() if count > SPARE}
    calls = {kind: count for kind, count in now.calls.items() if kind != TRANSACTIONS}
    return found | calls | ({} if now.ports == was.ports else {"ports": (was.ports, now.ports)})


async def _settled(stage: Stage, name: str, was: Left | None = None) -> Left:
    """What is left once the garbage is collected; generators in it end on the loop first."""
    await left(stage, name)
    for _ in range(60):
        await asyncio.sleep(0.5)
        found = await left(stage, name)
        if not _more(found, was or found):
            break
    return found


async def test_calls_leave_no_object_thread_descriptor_or_port() -> None:
    async with staged(shards=1, shard=SHARD, exchange=EXCHANGE) as (stage, carrier):
        await _calls(stage, carrier, WARM)
        before = {name: await _settled(stage, name) for name in stage.processes}
        await _calls(stage, carrier, CALLS)
        assert len(stage.rang) == WARM + CALLS
        for name, was in before.items():
            assert _more(await _settled(stage, name, was), was) == {}, name
        assert not list((stage.home / "run" / "dialogs").glob("*"))
        # A session that was stopped while it began would leave its tasks to the collector.
        assert "Task was destroyed" not in (stage.home / "logs" / "shard-1.log").read_text()
