"""Telnyx: the stand-in judged by the official SDK, our client judged by the stand-in."""

import asyncio
import json
import time
import warnings
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from api.outside.carrier import CarrierRefused, CarrierUnavailable, Credentials, Forged, Wanted
from api.outside.telnyx import Telnyx
from tests.support.telnyx import KEY, FakeTelnyx, telnyx

ME = Credentials("call2me0123456789", "a-long-password")


@pytest.fixture
def account() -> Iterator[FakeTelnyx]:
    with telnyx() as served:
        served.looks = 1
        served.sell("+13125550100")
        served.sell("+13125550101", features=("voice",), monthly="2.5", upfront="0")
        served.sell("+16475550102", country="CA")
        served.sell("+13125550103", currency="EUR")
        yield served


@pytest.fixture
async def client(account: FakeTelnyx) -> AsyncIterator[Telnyx]:
    made = Telnyx(KEY, (account.public_key,), account.url)
    yield made
    await made.close()


def test_the_official_sdk_takes_the_stand_in_for_telnyx(account: FakeTelnyx) -> None:
    """The same steps as ours, each answer parsed and checked by Telnyx's own types."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the SDK's own modules, which are none of ours
        from telnyx import Telnyx as Official
        from telnyx._models import validate_type

    def judged(thing: object) -> object:
        validate_type(type_=type(thing), value=json.loads(thing.to_json()))  # type: ignore[attr-defined]
        return thing

    with Official(api_key=KEY, base_url=account.url, max_retries=0, http_client=httpx.Client()) as sdk:
        found = sdk.available_phone_numbers.list(
            filter={"country_code": "US", "national_destination_code": "312", "features": ["sms", "voice"]}
        )
        judged(found)
        assert [one.phone_number for one in found.data or []] == ["+13125550100", "+13125550103"]
        assert judged(sdk.balance.retrieve())
        reserved = sdk.number_reservations.create(phone_numbers=[{"phone_number": "+13125550100"}])
        judged(reserved)
        profile = sdk.outbound_voice_profiles.create(
            name=ME.name, traffic_type="conversational", service_plan="global"
        )
        judged(profile)
        assert profile.data is not None
        connection = sdk.credential_connections.create(
            connection_name=ME.name,
            user_name=ME.name,
            password=ME.password,
            inbound={"ani_number_format": "+E.164", "dnis_number_format": "+e164"},
            outbound={"outbound_voice_profile_id": profile.data.id or ""},
        )
        judged(connection)
        assert connection.data is not None
        assert connection.data.id is not None
        listed = sdk.credential_connections.list(filter={"connection_name": {"contains": ME.name}})
        assert [one.id for one in listed.data or []] == [connection.data.id]
        ordered = sdk.number_orders.create(
            phone_numbers=[{"phone_number": "+13125550100"}],
            connection_id=connection.data.id,
            customer_reference="order_1",
        )
        judged(ordered)
        assert ordered.data is not None
        assert ordered.data.status == "pending"
        (again,) = sdk.number_orders.list(filter={"customer_reference": "order_1"}).data or []
        judged(again)
        done = sdk.number_orders.retrieve(again.id or "")
        assert judged(done)
        assert done.data is not None
        assert done.data.status == "success"
        (number,) = sdk.phone_numbers.list(filter={"phone_number": "13125550100"}).data or []
        judged(number)
        assert judged(sdk.phone_numbers.update(number.id or "", connection_id=connection.data.id))
        parts = sdk.sub_number_orders.list(filter={"order_request_id": again.id or ""})
        assert judged(parts)
        event = sdk.webhooks.unsafe_unwrap(account.event(again.id or "").decode())
        assert event.data.event_type == "number_order.complete"  # type: ignore[union-attr]
        assert judged(sdk.phone_numbers.delete(number.id or ""))
        with pytest.raises(Exception, match="422"):
            sdk.number_orders.create(phone_numbers=[{"phone_number": "+10000000000"}])
    asked = {(method, path.split("/")[1]) for method, path, _ in account.asked}
    assert len(asked) >= 12


async def test_our_client_goes_the_same_way(account: FakeTelnyx, client: Telnyx) -> None:
    found = await client.search(Wanted("US", kind="local", area_code="312", features=("sms", "voice")))
    assert [(one.number, one.monthly_micros, one.upfront_micros) for one in found] == [
        ("+13125550100", 1_000_000, 1_000_000)
    ]
    (exact,) = await client.search(Wanted("US", contains="3125550101"))
    assert (exact.monthly_micros, exact.upfront_micros, exact.locality) == (2_500_000, 0, "Chicago")
    assert (await client.reserve("+13125550100", "order_1")).expires_at > time.strftime("%Y")
    connection_id = await client.connect(ME)
    assert await client.connect(ME) == connection_id
    assert len(account.connections) == len(account.profiles) == 1
    assert await client.ordered("order_1") is None
    made = await client.order("+13125550100", "order_1", connection_id)
    assert (made.status, made.number, made.needs_documents) == ("pending", "+13125550100", False)
    ordered = await client.ordered("order_1")
    assert ordered is not None
    assert (ordered.order_id, ordered.status) == (made.order_id, "success")
    held = await client.held("+13125550100")
    assert held is not None
    assert (held.status, held.connection_id) == ("active", connection_id)
    await client.assign(held.number_id, connection_id)
    with pytest.raises(CarrierRefused, match="Number not available"):
        await client.order("+13125550100", "order_2", connection_id)
    await client.release(held.number_id)
    await client.release(held.number_id)  # again: it is gone, and that is fine
    assert await client.held("+13125550100") is None
    assert (await client.account()).balance == "100.00"


async def test_what_waits_for_documents_is_cancelled_and_fails(account: FakeTelnyx, client: Telnyx) -> None:
    account.sell("+493012345678", country="DE", needs_documents=True)
    made = await client.order("+493012345678", "order_1", await client.connect(ME))
    assert made.needs_documents
    await client.cancel(made.order_id)
    assert (await client.get_order(made.order_id)).status == "failure"


async def test_only_what_cannot_buy_twice_is_repeated(account: FakeTelnyx, client: Telnyx) -> None:
    connection_id = await client.connect(ME)
    for kind in ("500", "lost", "429"):
        account.fault("GET", "/balance", kind, times=2)
        assert (await client.account()).currency == "USD"
    account.fault("POST", "/number_orders", "429", Retry_After="0.1")
    await client.order("+13125550100", "order_1", connection_id)
    assert account.count("POST", "/number_orders") == 2
    for kind in ("500", "lost", "hang"):
        account.fault("POST", "/number_orders", kind)
        with pytest.raises(CarrierUnavailable):
            await client.order("+13125550101", "order_2", connection_id)
    assert account.count("POST", "/number_orders") == 5
    lost = await client.ordered("order_2")  # the answer was lost, the order was not
    assert lost is not None
    assert len(account.bought("+13125550101")) == 1


async def test_a_wait_that_is_asked_for_is_kept_and_bounded(account: FakeTelnyx, client: Telnyx) -> None:
    account.fault("GET", "/balance", "429", Retry_After="1")
    began = time.monotonic()
    await client.account()
    assert 1 <= time.monotonic() - began < 3
    account.fault("GET", "/balance", "429", Retry_After="3600")
    began = time.monotonic()
    with pytest.raises(CarrierUnavailable):
        await client.account()
    assert time.monotonic() - began < 1


@pytest.mark.parametrize(("status", "kind"), [("402", CarrierRefused), ("422", CarrierRefused)])
async def test_a_refusal_says_why(account: FakeTelnyx, client: Telnyx, status: str, kind: type) -> None:
    account.fault("GET", "/balance", status)
    with pytest.raises(kind, match="Made to fail"):
        await client.account()


async def test_a_wrong_key_is_told_and_not_repeated(account: FakeTelnyx) -> None:
    stranger = Telnyx("KEY_wrong", (), account.url)
    with pytest.raises(CarrierUnavailable, match="the key is refused"):
        await stranger.account()
    assert account.count("GET", "/balance") == 1
    await stranger.close()


async def test_a_server_that_is_not_there_is_no_answer() -> None:
    nobody = Telnyx(KEY, (), "http://127.0.0.1:1/v2")
    with pytest.raises(CarrierUnavailable, match="no answer"):
        await asyncio.wait_for(nobody.account(), 10)
    await nobody.close()


async def test_events_are_believed_only_when_they_are_signed_and_fresh(
    account: FakeTelnyx, client: Telnyx
) -> None:
    made = await client.order("+13125550100", "order_1", await client.connect(ME))
    raw, now = account.event(made.order_id), time.time()
    event = client.read(account.signed(raw), raw, now)
    assert (event.type, event.order_id) == ("number_order.complete", made.order_id)
    other = FakeTelnyx()
    good = account.signed(raw)
    for headers, body, at in (
        ({}, raw, now),
        (good, raw + b" ", now),
        (other.signed(raw), raw, now),
        (good, raw, now + 301),
        (good, raw, now - 301),
        ({**good, "telnyx-timestamp": str(int(now) + 1)}, raw, now),
        ({**good, "telnyx-timestamp": "9" * 400}, raw, now),
        ({**good, "telnyx-timestamp": "²"}, raw, now),
        ({**good, "telnyx-signature-ed25519": "not base64"}, raw, now),
        ({**good, "telnyx-signature-ed25519": "é"}, raw, now),
    ):
        with pytest.raises(Forged):
            client.read(headers, body, at)
    for body in (b"{}", b"[]", b"null", b'{"data": {"id": 1}}'):
        with pytest.raises(ValueError, match=r"."):
            client.read(account.signed(body), body, now)
