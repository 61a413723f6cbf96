"""What the exchange says of a trunk that it registers: refused at first, then granted by a real registrar."""

import asyncio

import pytest

from pipelines.contract import SipTrunk
from tests.support.far_end import FarEnd, Message, response
from tests.support.telephony import staged

pytestmark = [pytest.mark.phones, pytest.mark.timeout(120)]


async def test_an_exchange_says_why_a_trunk_is_not_registered_and_when_it_is() -> None:
    registrar = FarEnd()
    await registrar.start()
    is_open = asyncio.Event()

    def asked(register: Message) -> bytes:
        if not is_open.is_set():
            return response(register, 403, "Forbidden", "t")
        granted = f"Contact: {register.get('contact')};expires=120"
        return response(register, 200, "OK", "t", headers=[granted])

    registrar.outside["REGISTER"] = asked
    try:
        async with staged(shards=1) as (stage, _):
            assert stage.liveness.exchange is not None
            assert stage.liveness.exchange.trunks == {}, "a trunk that does not register is not told of"
            stage.trunk = SipTrunk(
                trunk_id="trunk_2",
                server=f"127.0.0.1:{registrar.port}",
                username="alice",
                password="secret",
                registers=True,
            )

            def told() -> str | None:
                here = stage.liveness.exchange
                return here.trunks.get("trunk_2") if here is not None else None

            why_not = await stage.until(lambda: (why := told()) and "403" in why and why)
            assert why_not == "it is not registered: 403 Forbidden"
            is_open.set()
            await stage.until(lambda: told() == "", 30)
    finally:
        registrar.close()
