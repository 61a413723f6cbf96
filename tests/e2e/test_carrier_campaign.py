"""A campaign through a real carrier, across kill -9 of the api, and of the exchange and a shard."""

import asyncio
import sqlite3
import sys
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from tests.support.carrier_house import House, carrier_house, refusing
from tests.support.far_call import FarCall
from tests.support.pjsip import written
from tests.support.speech import words
from tests.support.stack import service_of
from tests.unit.test_answering import GREETING

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.phones,
    pytest.mark.timeout(600),
    pytest.mark.skipif(sys.platform != "linux", reason="pjsua2-python has wheels for Linux only"),
]

API, EXCHANGE, SHARD = ("-m", "api.cli", "serve"), ("-m", "worker", "exchange"), ("-m", "worker", "shard")
CODES = {"no_answer": 480, "busy": 486, "rejected": 603, "invalid_number": 404, "failed": 500}
DIALLED = ["no_answer"] * 4 + ["completed"] * 6 + ["voicemail"] + ["busy"] * 4 + ["rejected"] * 3
DIALLED += ["completed"] * 5 + ["invalid_number"] * 3 + ["failed"] * 2 + ["voicemail", "completed"]
NUMBERS = {f"+1415555{1000 + place}": outcome for place, outcome in enumerate(DIALLED)}
"""Thirty people, and how a call to each ends. Who does not answer is called once more."""
LATER = "+14155551028"
"""Outside of calling hours until those are widened."""
NEVER = {
    "+14155551200": "do_not_call",
    "+14155551201": "consent_denied",
    "+15550100200": "invalid_number",
    "+19002345678": "destination_refused",
}


async def _answered(call: FarCall) -> None:
    """Somebody picks up, listens for a moment, and hangs up."""
    call.reply(180, "Ringing")
    await asyncio.sleep(0.5)
    if await call.answer():
        await asyncio.sleep(2.0)
        await call.request("BYE")


def _rung(house: House) -> Counter[str]:
    """INVITEs that the carrier put through, by number."""
    called = [call.invite.user for call in house.trunk.far.calls]
    called += [str(to).removeprefix("sip:").partition("@")[0] for to in house.phone.all("to")]
    return Counter(called)


async def _stats(house: House, path: str) -> dict[str, Any]:
    """How far it is; none where the api is away."""
    try:
        return dict(await house.stack.get(path))
    except (aiohttp.ClientError, AssertionError, TimeoutError):
        return {}


async def _until(house: House, path: str, seconds: float, **stats: int) -> dict[str, Any]:
    """The campaign, once so many are so far, or further."""
    async with asyncio.timeout(seconds):
        while True:
            told = await _stats(house, path)
            if told and all(told["stats"][name] >= most for name, most in stats.items()):
                return told
            await asyncio.sleep(0.2)


def _asked(house: House, query: str) -> list[Any]:
    """Rows of the database, with which nobody is asked."""
    with closing(sqlite3.connect(house.stack.home / "call2me.sqlite", timeout=10)) as connection:
        return connection.execute(query).fetchall()


async def _stopped_before_an_order(house: House, exchange: psutil.Process) -> str:
    """The exchange stands still, and an order is on its way to it, or waits to be read: whom it is for."""
    unanswered = (
        "SELECT id, to_number FROM calls WHERE dialled_at IS NOT NULL AND worker_id IS NULL"
        " AND status = 'pending'"
    )
    while True:
        invited = len(house.trunk.relay.invited)
        while len(house.trunk.relay.invited) == invited:
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.3)  # until the next order it has nothing in hand
        exchange.suspend()
        before = await asyncio.to_thread(_asked, house, unanswered)
        for _ in range(100):  # shorter than it may be silent
            after = await asyncio.to_thread(_asked, house, unanswered)
            if found := [number for call_id, number in after if (call_id, number) not in before]:
                await asyncio.sleep(0.2)
                return str(found[0])
            await asyncio.sleep(0.02)
        exchange.resume()


async def test_thirty_people_are_called_once_each_across_two_deaths(tmp_path: Path) -> None:
    assert len(NUMBERS) == 30
    greeting = written(tmp_path / "greeting.wav", words(GREETING))
    machines = [number for number, outcome in NUMBERS.items() if outcome == "voicemail"]
    async with carrier_house(
        tmp_path / "home", {number: {"rings": 0.5, "plays": greeting} for number in machines}
    ) as house:
        for number, outcome in NUMBERS.items():
            if outcome != "voicemail":
                code = CODES.get(outcome)
                house.trunk.far.on(number, refusing(code) if code else _answered)
        path = await _campaign(house)
        await house.stack.post(f"{path}/start")
        await _until(house, path, 60, called=11)
        # The api dies with an order that nobody has read: it is obeyed, and no api has heard the answer.
        exchange = await service_of(house.stack.home, *EXCHANGE)
        async with asyncio.timeout(60):
            obeyed = await _stopped_before_an_order(house, exchange)
        (await service_of(house.stack.home, *API)).kill()
        exchange.resume()
        await _until(house, path, 120, called=19)
        # The exchange dies with an order that it has not read, with what rings, and with whom a shard talks.
        exchange = await service_of(house.stack.home, *EXCHANGE)
        shard = await service_of(house.stack.home, *SHARD)
        async with asyncio.timeout(60):
            lost = await _stopped_before_an_order(house, exchange)
        at_work = "SELECT to_number FROM calls WHERE status IN ('pending', 'ringing', 'in_progress')"
        going_on = {number for (number,) in _asked(house, at_work)}
        for process in (exchange, shard):
            process.kill()
        told = await _until(house, path, 240, called=29)
        (waits,) = [one for one in await _people(house, path) if one["phone_number"] == LATER]
        assert (waits["status"], waits["reason"]) == ("pending", "outside of calling hours")
        await house.stack.patch(path, {"calling_hours": "any"})
        async with asyncio.timeout(240):
            while (told := await _stats(house, path)).get("status") != "completed":
                await asyncio.sleep(0.3)
        people = {one["phone_number"]: one for one in await _people(house, path)}
        results = await house.stack.get(f"{path}/results")
        await asyncio.sleep(2)
        invited, rung = Counter(house.trunk.relay.invited.values()), _rung(house)
        calls: dict[str, list[tuple[str, str]]] = {}
        for number, status, reason in _asked(
            house, "SELECT to_number, status, disconnection_reason FROM calls ORDER BY created_at"
        ):
            calls.setdefault(number, []).append((status, reason))
        events = _asked(house, "SELECT type FROM webhook_events WHERE type LIKE 'campaign.%'")
    attempts = Counter({number: people[number]["attempts"] for number in NUMBERS})
    # The carrier was asked for exactly as many calls as the campaign wanted: one to each, one more to who did
    # not answer the first.
    assert invited == attempts
    assert rung == invited
    dialled = {
        number: [status for status, reason in tries if not reason.startswith("not_dialled")]
        for number, tries in calls.items()
    }
    asked_for = {number: 1 + (tries[0] == "no_answer") for number, tries in dialled.items()}
    assert attempts == Counter(asked_for)
    assert invited.total() == 30 + sum(times - 1 for times in asked_for.values())
    # Who had nothing to do with a death ends as they would have; what rang or talked in it says why not.
    broken = {number for number in NUMBERS if people[number]["outcome"] != NUMBERS[number]}
    assert broken <= going_on - {lost}, {number: people[number] for number in broken}
    assert all(people[number]["outcome"] == "failed" and people[number]["reason"] for number in broken)
    assert obeyed not in broken
    lost_order = ("failed", "not_dialled: the order was lost on its way to the exchange")
    assert [number for number, tries in calls.items() if lost_order in tries] == [lost]
    assert {number: people[number]["reason"] for number in NEVER} == NEVER
    assert told["stats"]["skipped"] == len(NEVER)
    assert results["total_attempts"] == attempts.total()
    assert events == [("campaign.completed",)]


async def _people(house: House, path: str) -> list[dict[str, Any]]:
    return list((await house.stack.get(f"{path}/contacts?limit=200"))["contacts"])


async def _campaign(house: House) -> str:
    """A draft with everybody in it."""
    await house.change(voicemail_detection_enabled=True, voicemail_action="hangup")
    await house.stack.post("/v1/webhooks/endpoints", {"url": "https://hooks.example.com/a"})
    denied = {"phone_number": "+14155551201", "name": "No", "consent": "denied"}
    await house.stack.post("/v1/contacts", denied)
    await house.stack.post("/v1/do-not-call", {"phone_number": "+14155551200"})
    # Noon somewhere, and night elsewhere.
    noon = 12 - datetime.now(UTC).hour
    night = noon - 10 if noon > 0 else noon + 10
    hours = {"start": "10:00", "end": "14:30", "weekdays": ["mo", "tu", "we", "th", "fr", "sa", "su"]}
    wanted = {
        "agent_id": house.agent_id,
        "name": "Thirty",
        "calls_per_minute": 60,
        "max_concurrent": 10,
        "retry_count": 1,
        "retry_delay_minutes": 1,
        "retry_on": ["no_answer"],
        "calling_hours": hours,
    }
    path = f"/v1/campaigns/{(await house.stack.post('/v1/campaigns', wanted))['campaign_id']}"
    people = [
        {"phone_number": number, "variables": {"timezone": _zone(night if number == LATER else noon)}}
        for number in (*NUMBERS, *NEVER)
    ]
    await house.stack.post(f"{path}/contacts", {"contacts": people})
    preview = await house.stack.get(f"{path}/preview")
    assert (preview["callable_now"], preview["callable_later"]) == (29, 1), preview
    assert preview["skipped"] == Counter(NEVER.values())
    return path


def _zone(hours: int) -> str:
    """So many hours ahead of UTC; the names have it the other way round."""
    return f"Etc/GMT{-hours:+d}"
