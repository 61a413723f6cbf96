"""The profile of text messages is made once at the carrier, whoever looks for it in the same moment."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from sqlmodel import update

from api.db.columns import now
from api.db.engine import Database
from api.durable import engine
from api.outside.carrier import CarrierUnavailable
from api.outside.telnyx import Telnyx
from api.outside.telnyx_texts import TelnyxTexts
from api.sms import enabling, means
from api.sms.table import SmsProfileRow
from tests.support.telnyx import KEY, FakeTelnyx, telnyx


@pytest.fixture
async def account(durable: None, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeTelnyx]:
    with telnyx() as served:
        carrier = Telnyx(KEY, (served.public_key,), served.url)
        reach = replace(engine.reach(), carrier=carrier)
        monkeypatch.setattr(engine, "reach", lambda: reach)
        laid: Any = SimpleNamespace(events_url="https://call2me.example.com/v1/sms/webhooks/telnyx")
        monkeypatch.setattr(means, "at_hand", lambda: laid)
        yield served
        await carrier.close()


async def test_two_processes_that_look_for_the_profile_at_once_make_one(
    account: FakeTelnyx, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    carrier = engine.reach().carrier
    assert carrier is not None
    usual, both_looked = TelnyxTexts.profile, asyncio.Event()

    async def late(*arguments: Any) -> str:
        """Whoever asks the carrier waits until the other has seen what is written down."""
        await both_looked.wait()
        return await usual(*arguments)

    monkeypatch.setattr(TelnyxTexts, "profile", late)
    first, second = (asyncio.create_task(enabling._profile(carrier)) for _ in range(2))
    await asyncio.sleep(0.5)
    both_looked.set()
    found = await asyncio.gather(first, second)
    (made,) = account.texts.profiles
    assert set(found) == {None, made}
    assert await enabling._profile(carrier) == made

    # It was made, and the answer lost: it is looked for, and by one that is not in a hurry.
    account.texts.profiles.clear()
    async with database.transaction() as session:
        await session.exec(update(SmsProfileRow).values(profile_id=None))
    account.fault("POST", "/messaging_profiles", "lost")
    with pytest.raises(CarrierUnavailable):
        await enabling._profile(carrier)
    assert await enabling._profile(carrier) is None
    # Whoever asked is dead: at once where that is known, and else when it has had its time.
    for values in ({"claim": "another/dead"}, {"claim": engine.holder(), "claimed_until": now()}):
        async with database.transaction() as session:
            await session.exec(update(SmsProfileRow).values(profile_id=None, **values))
        monkeypatch.setattr(engine, "is_gone", lambda name: name == "another/dead")
        assert await enabling._profile(carrier) in account.texts.profiles
    assert len(account.texts.profiles) == 1
