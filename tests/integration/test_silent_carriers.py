"""A carrier that answers nothing any more in mid-call: the call ends or goes on, and nobody waits for it."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from pipelines.contract.actions import Hold, Transfer
from pipelines.contract.websocket import HangUp
from tests.support.far_call import FarCall
from tests.support.far_end import FarEnd
from tests.support.telephony import Stage, calling, staged

pytestmark = [pytest.mark.phones, pytest.mark.timeout(120)]

AGENT = {"transfer_targets": [{"name": "Desk", "kind": "phone", "value": "+14155550177"}]}
_SESSION = ("Session-Expires: 4;refresher=uac", "Require: timer", "Allow: INVITE, ACK, BYE, UPDATE")


async def with_a_timer(call: FarCall) -> None:
    """Answers, and wants to hear every two seconds that we are there."""
    call.reply(180, "Ringing")
    await call.answer(headers=_SESSION)


async def test_a_carrier_that_falls_silent_ends_no_call_but_its_own() -> None:
    far = FarEnd()
    await far.start()
    far.scripts["+14155550104"] = with_a_timer
    hasty = "from tests.support.hasty_exchange import main; main()"
    try:
        async with staged(shards=1, exchange=hasty, **AGENT) as (stage, carrier):
            stage.trunk = stage.trunk.model_copy(update={"server": f"127.0.0.1:{far.port}"})
            await asyncio.sleep(3.5)  # it is asked for again

            async def silent(name: str, method: str, number: str) -> FarCall:
                stage.dial(number, call_id=name)
                await stage.until(lambda: "answered" in stage.states(name))
                call = next(one for one in far.calls if one.invite.user == number)
                call.answers[method] = lambda _: None
                await stage.until(lambda: call.of("ACK") and stage.said(name))
                return call

            cases: tuple[tuple[str, str, str, Callable[[Stage, str, FarCall], Awaitable[None]]], ...] = (
                ("bye", "BYE", "+14155550101", _is_hung_up),
                ("hold", "INVITE", "+14155550102", _is_held_and_gone_on_with),
                ("refer", "REFER", "+14155550103", _is_transferred_to_nobody),
                ("update", "UPDATE", "+14155550104", _is_not_refreshed),
            )
            called = [await silent(*case[:3]) for case in cases]
            async with asyncio.TaskGroup() as group:
                for (name, _, _, lived), call in zip(cases, called, strict=True):
                    group.create_task(lived(stage, name, call))
                await asyncio.sleep(0.5)
                began = time.monotonic()
                async with calling(stage, carrier) as caller:  # while all four wait
                    await stage.until(lambda: caller.phone.first_sound(0.0))
                    assert time.monotonic() - began < 5.0
            exchange = stage.processes["exchange"].pid
            await stage.until(lambda: stage.descriptors(exchange) == 1)
            await stage.until(lambda: not list((stage.home / "run" / "dialogs").iterdir()))
            assert stage.liveness.exchange is not None
            assert stage.liveness.exchange.call_ids == ()
    finally:
        far.close()


async def _is_hung_up(stage: Stage, name: str, call: FarCall) -> None:
    began = time.monotonic()
    assert stage.liveness.phone_order(HangUp(call_id=name, reason="asked"))
    end = await stage.until(lambda: stage.end_of(name))
    assert (end.sip_code, time.monotonic() - began < 2.0) == (200, True), "nobody waits for their answer"
    await stage.until(lambda: len(call.of("BYE")) > 3)  # it is repeated


async def _is_held_and_gone_on_with(stage: Stage, name: str, call: FarCall) -> None:
    assert (await stage.order(name, Hold())).outcome == "done"
    await stage.until(lambda: len(call.of("INVITE")) > 3)
    await asyncio.sleep(4.0)
    assert stage.end_of(name) is None, "our own end holds alone"
    call.answers.pop("INVITE")
    assert (await stage.order(name, Hold(is_on=False))).outcome == "done"
    assert (await call.request("BYE")).code == 200  # type: ignore[union-attr]
    assert (await stage.until(lambda: stage.end_of(name))).sip_code == 200


async def _is_transferred_to_nobody(stage: Stage, name: str, call: FarCall) -> None:
    await stage.order(name, Transfer(target="Desk"))
    await stage.until(lambda: len(call.of("REFER")) > 3)
    tried = await stage.until(lambda: next((e for e in stage.events(name) if e.kind == "transfer"), None))
    assert "does not answer" in str(tried)
    called = [one.invite.user for one in call.far.calls]
    assert "+14155550177" not in called, "who says nothing has not refused: they may have been called already"
    assert stage.end_of(name) is None
    assert (await call.request("BYE")).code == 200  # type: ignore[union-attr]
    assert (await stage.until(lambda: stage.end_of(name))).sip_code == 200


async def _is_not_refreshed(stage: Stage, name: str, call: FarCall) -> None:
    end = await stage.until(lambda: stage.end_of(name))
    assert (end.sip_code, end.sip_reason) == (408, "the session timer lapsed")
    (goodbye, *_) = call.of("BYE")
    assert "Session expired" in goodbye.get("reason")
    events = await stage.until(lambda: (e := stage.events(name)) and e[-1].kind == "call_ended" and e)
    assert events[-1].reason == "line_lost"
