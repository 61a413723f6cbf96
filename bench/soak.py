"""Everything at once for minutes, while one process after the other is killed: docs/benchmarks.md.

    python -m bench.soak                                     two minutes on SQLite
    python -m bench.soak --seconds 600 --seed 7 --database postgresql
    python -m bench.soak --kill shard --kill exchange        only these

The product runs as an operator runs it; ears, mind and voice are stand-ins that say numbers. At the end it is
given time to settle, and then judged by what the carrier, the callers and the receiver saw themselves.
"""

import argparse
import asyncio
import json
import os
import random
import shutil
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from bench.first_call import INSTANT_AGENT, machine
from bench.parts import soak_judge as judge
from bench.parts.soak_house import House, Verdict
from bench.parts.soak_load import Load, receiving
from bench.parts.soak_phones import NUMBER, Carrier
from bench.parts.soak_voices import voices
from tests.support.payment_stand_in import serving
from tests.support.ports import free_port
from tests.support.postgres import postgres
from tests.support.stack import ROOT
from tests.support.stripe_server import STRIPE_SECRET, FakeStripe
from worker.exchange import sip

KINDS = ("up", "api", "supervisor", "agents", "exchange", "shard", "models", "text", "livekit")
WARM_SECONDS = 8.0
WARM_CALLS = 4
"""For what is loaded by the first calls."""
BETWEEN_SECONDS = (10.0, 30.0)
SETTLE_SECONDS = 180.0
REST_SECONDS = 40.0
"""SIP keeps what is over for 32 s, for repetitions."""


def say(text: str) -> None:
    """Progress, where the verdicts do not go."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


async def _kill(house: House, chance: random.Random, kinds: set[str]) -> None:
    while kinds:
        await asyncio.sleep(chance.uniform(*BETWEEN_SECONDS))
        say(f"killed: {house.kill_one(chance, kinds) or 'nothing, none of them runs'}")


async def _prepared(house: House, load: Load, receiver_url: str, carrier_port: int) -> None:
    agent = {
        **INSTANT_AGENT,
        "responsiveness": 1.0,
        "max_call_duration_ms": 120_000,
        "enable_recording": True,
    }
    load.agent_id = (await house.made("/v1/agents", agent))["agent_id"]
    trunk = {"name": "Carrier", "sip_server": f"127.0.0.1:{carrier_port}"}
    trunk_id = (await house.made("/v1/sip-trunks", trunk))["trunk_id"]
    number = {"number": NUMBER, "agent_id": load.agent_id, "trunk_id": trunk_id}
    await house.made("/v1/phone-numbers", number)
    await house.made("/v1/webhooks/endpoints", {"url": receiver_url, "events": ["*"]})
    await load.top_up(100_000)


async def _settled(house: House, load: Load, events: list[Any]) -> float:
    """Wait until nothing more is to come, or too long; how long it took."""
    began = time.monotonic()
    while time.monotonic() - began < SETTLE_SECONDS:
        await asyncio.sleep(3)
        calls = await house.every("/v1/calls", "calls")
        told = {told["call_id"] for _, told in events if told["event"] in judge.ENDS}
        is_over = all(call["call_status"] in judge.OVER and call["call_id"] in told for call in calls)
        if is_over and not load.carrier.going_on:
            break
    return time.monotonic() - began


async def soak(wanted: argparse.Namespace, home: Path, database_url: str) -> list[Verdict]:
    """One run."""
    chance = random.Random(wanted.seed)  # noqa: S311 - the same again for the same seed
    stripe, sip_port, rtp_port = FakeStripe(), free_port(), free_port() // 2 * 2
    async with AsyncExitStack() as parts:
        parts.enter_context(serving(stripe))
        providers = await parts.enter_async_context(voices())
        receiver = await parts.enter_async_context(receiving(chance))
        everybody = sip.Admission(sources=None, per_second=1000, burst=1000)
        engine = await parts.enter_async_context(
            sip.Engine([sip.Listener("udp", "127.0.0.1", 0)], admission=everybody, user_agent="Carrier")
        )
        settings = {
            "CALL2ME_DATABASE_URL": database_url,
            "CALL2ME_SIP_LISTEN": f"udp:127.0.0.1:{sip_port}",
            "CALL2ME_RTP_PORTS": f"{rtp_port}-{min(rtp_port + 100, 65_535)}",
            "CALL2ME_ALLOW_HOSTS": "127.0.0.1",
            "CALL2ME_LOCAL_MODELS": "on" if "models" in wanted.kill else "off",
            "CALL2ME_BILLING": "on",
            "CALL2ME_PAYMENTS": "stripe",
            "STRIPE_API_KEY": "sk_test_stand_in",
            "STRIPE_WEBHOOK_SECRET": STRIPE_SECRET,
            "CALL2ME_STRIPE_URL": stripe.url,
            "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
            **providers,
        }
        house = await parts.enter_async_context(House(home, settings).running())
        carrier = Carrier(engine, sip_port, chance)
        load = Load(house, carrier, stripe, wanted.seed)
        await _prepared(house, load, receiver.url, engine.addresses[0][2])
        await asyncio.sleep(WARM_SECONDS)
        for _ in range(WARM_CALLS):
            carrier.begin()
        while carrier.going_on:  # noqa: ASYNC110
            await asyncio.sleep(1)
        await asyncio.sleep(REST_SECONDS)
        before = house.footprint()
        say(f"begun, {sum(one.mb for one in before.values()):.0f} MB")
        answering = asyncio.create_task(carrier.answer_all())
        await load.campaign(int(wanted.seconds / 60 * 8) + 5)
        work = [load.people_call(wanted.callers), load.order_calls(), load.write(), load.pay()]
        doing = [asyncio.create_task(one) for one in work]
        killing = asyncio.create_task(_kill(house, chance, set(wanted.kill) - {"nothing"}))
        await asyncio.sleep(wanted.seconds)
        killing.cancel()
        load.is_over.set()
        say("settling")
        await load.act("pause")
        await asyncio.gather(*doing)
        took = await _settled(house, load, receiver.events)
        say(f"settled after {took:.0f} s")
        await asyncio.sleep(REST_SECONDS)
        calls = await judge.calls_of(house)
        people = await house.every(f"/v1/campaigns/{load.campaign_id}/contacts", "contacts")
        kills = [at for at, _, _ in house.killed]
        verdicts = [
            *judge.ends(calls, carrier.calls),
            *judge.hooks(calls, receiver),
            *judge.orders(load, calls, people),
            *judge.words(calls, carrier.calls, kills),
            *await judge.chats(house, load),
            *await judge.money(house, load, calls),
            *judge.leftovers(before, house.footprint(), house),
            await judge.durable(house, database_url),
            Verdict("the carrier's own side went well", len(carrier.calls), carrier.failures),
        ]
        answering.cancel()
        tally: dict[str, int] = {}
        for _, kind, _ in house.killed:
            tally[kind] = tally.get(kind, 0) + 1
        say(f"kills {tally}; asked again {dict(house.unanswered)}; `up` was started {house.starts} times")
        told = {
            "killed": house.killed,
            "carrier": [vars(one) for one in carrier.calls],
            "calls": calls,
            "orders": [vars(one) for one in load.orders],
            "people": people,
            "chats": [vars(one) for one in load.chats],
            "events": receiver.events,
        }
        (home / "soak.json").write_text(json.dumps(told, default=str, indent=1))
    return verdicts


def main() -> None:
    """Run, print the verdicts; the exit code is 1 where one is bad."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--callers", type=int, default=3, help="how many call us at once")
    parser.add_argument(
        "--kill",
        choices=(*KINDS, "nothing"),
        action="append",
        help="kill only these; left out, all but models",
    )
    parser.add_argument("--keep", action="store_true", help="keep the home, with logs and soak.json")
    wanted = parser.parse_args()
    wanted.kill = wanted.kill or [kind for kind in KINDS if kind != "models"]
    home = Path(tempfile.mkdtemp(prefix="c2m-soak-"))
    print(f"{machine()}; seed {wanted.seed}, {wanted.seconds:.0f} s, {wanted.database}")
    try:
        if wanted.database == "postgresql":
            with postgres(is_durable=True) as server:
                verdicts = asyncio.run(soak(wanted, home, server.database()))
        else:
            verdicts = asyncio.run(soak(wanted, home, ""))
    finally:
        if wanted.keep:
            say(f"kept: {home}")
        else:
            shutil.rmtree(home, ignore_errors=True)
    print("\n".join(one.told() for one in verdicts))
    sys.exit(any(one.wrong for one in verdicts))


if __name__ == "__main__":
    main()
