"""The whole product behind a carrier: PJSIP ◄──► kamailio ◄──► exchange ◄──► agent."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.carrier import CREDENTIAL, DID, Carrier, carrier
from tests.support.far_call import FarCall
from tests.support.far_end import Script
from tests.support.pjsip import Pjsip, pjsip
from tests.support.ports import free_port
from tests.support.speech import words
from tests.support.stack import Stack, running


@dataclass
class House:
    """A running product, registered at a carrier that has a telephone."""

    stack: Stack
    trunk: Carrier
    phone: Pjsip
    agent_id: str

    async def registered(self, seconds: float = 15.0) -> None:
        """The carrier knows us."""
        async with asyncio.timeout(seconds):
            while (await self.stack.get("/v1/sip/health"))["status"] != "healthy":
                await asyncio.sleep(0.05)

    async def rings(self) -> tuple[int, str]:
        """The telephone calls our number and is answered: its call there, and our call's id."""
        self.phone.do("dial", value=f"sip:{DID}@127.0.0.1:{self.trunk.inner}")
        number = len(self.phone.all("dialled"))
        await self.phone.until(lambda: len(self.phone.all("dialled")) > number)
        call = [one["call"] for one in self.phone.seen if "dialled" in one][-1]
        await self.phone.talks(call)
        return call, (await self.stack.get("/v1/calls"))["calls"][0]["call_id"]

    async def asks(self, call: int, question: str) -> str:
        """Ask; what was understood of the answer."""
        seconds = self.phone.say(words(question), call)
        await asyncio.sleep(seconds + 0.3)
        return await self.phone.hears(call, len(self.phone.heard(call)))

    async def called(self, number: str) -> int:
        """The newest call of the telephone to this number of its."""

        def found() -> list[int]:
            return [one["call"] for one in self.phone.seen if f"sip:{number}@" in one.get("to", "")]

        return int((await self.phone.until(found))[-1])

    async def change(self, **changes: Any) -> None:
        """Change the agent."""
        await self.stack.patch(f"/v1/agents/{self.agent_id}", changes)

    async def dials(self, number: str, **more: Any) -> str:
        """The agent calls somebody."""
        body = {"agent_id": self.agent_id, "to_number": number, **more}
        async with asyncio.timeout(20):
            while (status := (await self.stack.get("/v1/sip/health"))["exchange"]) != "up":
                await asyncio.sleep(0.1)
        assert status == "up"
        return str((await self.stack.post("/v1/calls/outbound", body))["call_id"])


@asynccontextmanager
async def carrier_house(home: Path, lines: Mapping[str, Mapping[str, Any]]) -> AsyncIterator[House]:
    """Everything started and registered; the telephone has these numbers."""
    first = free_port() // 2 * 2
    settings = {
        "CALL2ME_SIP_LISTEN": f"udp:127.0.0.1:{free_port()}",
        "CALL2ME_RTP_PORTS": f"{first}-{min(first + 100, 65_535)}",
        "CALL2ME_ALLOW_HOSTS": "127.0.0.1",
    }
    async with AsyncExitStack() as parts:
        trunk = await parts.enter_async_context(carrier())
        stack = await parts.enter_async_context(running(home, **settings))
        phone = await parts.enter_async_context(pjsip(lines, f"127.0.0.1:{trunk.inner}"))
        (agent,) = await stack.get("/v1/agents")
        signed_in = {"sip_username": CREDENTIAL.username, "sip_password": CREDENTIAL.password}
        told = {"name": "Carrier", "sip_server": f"127.0.0.1:{trunk.proxy_port}", **signed_in}
        trunk_id = (await stack.post("/v1/sip-trunks", told))["trunk_id"]
        number = {"number": DID, "agent_id": agent["agent_id"], "trunk_id": trunk_id}
        await stack.post("/v1/phone-numbers", number)
        house = House(stack, trunk, phone, agent["agent_id"])
        await house.registered()
        yield house


def refusing(code: int, after_seconds: float = 1.0) -> Script:
    """A far end that rings, and then refuses."""

    async def refuse(call: FarCall) -> None:
        call.reply(180, "Ringing")
        await asyncio.sleep(after_seconds)
        call.reply(code, "No")

    return refuse
