"""Telnyx's text messages: the stand-in judged by the official SDK, our client judged by the stand-in."""

import json
import time
import warnings
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from api.outside.carrier import CarrierRefused, CarrierUnavailable
from api.outside.telnyx import Telnyx
from api.outside.texts import TextOut
from tests.support.telnyx import KEY, FakeTelnyx, telnyx

OURS, THEIRS, HOOK = "+13125550100", "+13125559999", "https://call2me.example.com/v1/sms/webhooks/telnyx"


@pytest.fixture
def account() -> Iterator[FakeTelnyx]:
    with telnyx() as served:
        served.own(served.sell(OURS))
        yield served


@pytest.fixture
async def client(account: FakeTelnyx) -> AsyncIterator[Telnyx]:
    made = Telnyx(KEY, (account.public_key,), account.url)
    yield made
    await made.close()


def number_id(account: FakeTelnyx) -> str:
    return next(iter(account.numbers))


def test_the_official_sdk_takes_the_stand_in_for_telnyx(account: FakeTelnyx) -> None:
    """The same steps as ours, each answer and each event parsed and checked by Telnyx's own types."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the SDK's own modules, which are none of ours
        from telnyx import Telnyx as Official
        from telnyx._models import validate_type

    def judged(thing: Any) -> Any:
        validate_type(type_=type(thing), value=json.loads(thing.to_json()))
        return thing

    with Official(api_key=KEY, base_url=account.url, max_retries=0, http_client=httpx.Client()) as sdk:
        profile = judged(
            sdk.messaging_profiles.create(
                name="call2me01", whitelisted_destinations=["US"], webhook_url=HOOK, webhook_api_version="2"
            )
        ).data
        (listed,) = judged(sdk.messaging_profiles.list(filter={"name": "call2me01"})).data
        assert listed.id == profile.id
        moved = judged(sdk.messaging_profiles.update(profile.id, webhook_url=f"{HOOK}/2")).data
        assert moved.webhook_url == f"{HOOK}/2"
        on = judged(sdk.phone_numbers.messaging.update(number_id(account), messaging_profile_id=profile.id))
        assert on.data.messaging_profile_id == profile.id
        asked = {"from_": OURS, "to": THEIRS, "text": "Hello", "webhook_url": HOOK, "type": "SMS"}
        sent = judged(sdk.messages.send(**asked, idempotency_key="sms_1")).data
        again = judged(sdk.messages.send(**asked, idempotency_key="sms_1")).data
        assert (sent.id, sent.to[0].status, len(account.texts.sent)) == (again.id, "queued", 1)
        with pytest.raises(Exception, match="422"):
            sdk.messages.send(**{**asked, "text": "Another"}, idempotency_key="sms_1")
        (message,) = account.texts.sent
        for body, kind in (
            (account.texts.told(message, "sent"), "message.sent"),
            (account.texts.told(message, "delivery_failed", "Unreachable"), "message.finalized"),
            (account.texts.received(THEIRS, OURS, "STOP", autoresponse_type="OPT_OUT"), "message.received"),
        ):
            event = judged(sdk.webhooks.unsafe_unwrap(body.decode()))
            assert event.data.event_type == kind
            assert judged(event.data.payload).text in {"Hello", "STOP"}
        with pytest.raises(Exception, match="40300"):
            sdk.messages.send(**asked, idempotency_key="sms_2")


async def test_our_client_goes_the_same_way(account: FakeTelnyx, client: Telnyx) -> None:
    profile = await client.texts.profile("call2me01", HOOK, frozenset({"US", "DE"}))
    assert await client.texts.profile("call2me01", f"{HOOK}2", frozenset()) == profile
    (made,) = account.texts.profiles.values()
    assert (made["webhook_url"], made["whitelisted_destinations"]) == (f"{HOOK}2", ["DE", "US"])
    text = TextOut("sms_1", OURS, THEIRS, "Hello", f"{HOOK}?sms=sms_1")
    with pytest.raises(CarrierRefused, match="Invalid 'from' address"):
        await client.texts.send(text)
    await client.texts.enable(number_id(account), profile)
    # Lost, failed, or told to wait: the same message all the same.
    for kind in ("lost", "500", "429"):
        account.fault("POST", "/messages", kind)
        accepted = await client.texts.send(text)
        assert (accepted.carrier_id, accepted.cost_micros) == (account.texts.sent[0]["id"], 4_000)
    assert len(account.texts.sent) == 1
    assert account.texts.sent[0]["webhook_url"] == f"{HOOK}?sms=sms_1"
    account.fault("POST", "/messages", "409", times=1)
    with pytest.raises(CarrierUnavailable):
        await client.texts.send(text)  # a try of ours before this one still runs there

    def read(raw: bytes) -> Any:
        return client.read(account.signed(raw), raw, time.time())

    (message,) = account.texts.sent
    outcomes = {"sent": "sent", "delivered": "delivered", "sending_failed": "failed", "expired": "failed"}
    for status, outcome in {**outcomes, "delivery_unconfirmed": "unconfirmed"}.items():
        receipt = read(account.texts.told(message, status, "Bad\nluck")).receipt
        assert (receipt.carrier_id, receipt.outcome, receipt.why) == (message["id"], outcome, "Bad luck")
    assert read(account.texts.told(message, "queued")).receipt is None
    text_in = read(account.texts.received(THEIRS, OURS, "STOP", autoresponse_type="OPT_OUT")).text
    assert (text_in.sender, text_in.recipient, text_in.words) == (THEIRS, OURS, "STOP")
    assert text_in.is_answered
    with pytest.raises(CarrierRefused, match="Blocked due to STOP message"):
        await client.texts.send(TextOut("sms_2", OURS, THEIRS, "Hello"))
    for payload in ('{"id": 1}', '{"id": "x", "to": "y"}', '{"id": "x", "from": [], "to": []}'):
        raw = f'{{"data": {{"id": "e", "event_type": "message.received", "payload": {payload}}}}}'.encode()
        with pytest.raises(ValueError, match=r"."):
            read(raw)
