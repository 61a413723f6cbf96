"""A trunk is tried out by a call: what the far end did, and what its owner is told of it.

What was said is what was understood of the far end's own recording.
"""

import asyncio
import contextlib
import os
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.far_end import FarEnd
from tests.support.ports import free_port
from tests.support.rtp import key_packets
from tests.support.sip_messages import Message, response
from tests.support.speech import understood
from tests.support.stack import ROOT, Stack, running
from tests.support.telephone import Telephone, bound, telephone
from worker.exchange import sdp, sip

pytestmark = [pytest.mark.e2e, pytest.mark.phones, pytest.mark.timeout(300)]

PRESSES, LISTENS, MUTE, LEAVES, RINGS = (f"+1415555010{n}" for n in range(1, 6))
REFUSALS = {f"+14155550{code}": code for code in (403, 404, 407, 484, 486, 488, 503)}
OURS = "+14155550199"
EXPECTED = {
    PRESSES: (True, 200, "both hear each other", ""),
    LISTENS: (True, 200, "sound came back", "No key was pressed"),
    MUTE: (False, 200, "no sound came from there", "CALL2ME_RTP_PORTS"),
    LEAVES: (False, 200, "hung up there before", "ten seconds"),
    RINGS: (False, 408, "It rang. Nobody answered", ""),
    "+14155550403": (False, 403, "forbids", "caller ids"),
    "+14155550404": (False, 404, "does not know this number", "dial_prefix"),
    "+14155550407": (False, 407, "did not take what it was told", "sip_username"),
    "+14155550484": (False, 484, "in this form", "dialled as +14155550484"),
    "+14155550486": (False, 486, "busy", ""),
    "+14155550488": (False, 488, "no codec in common", "PCMU"),
    "+14155550503": (False, 503, "cannot take the call now", "account"),
    "silence": (False, 408, "Nothing at all came back", "firewall"),
    "refused": (False, None, "the connection was refused", "over TCP"),
    "tls": (False, None, "encrypted connection failed", "5061"),
    "forbidden": (False, None, "Nothing was dialled: it is not registered: 403", "Mend the registration"),
    "prefixed": (True, 200, "sound came back", ""),
}
"""Whether it succeeded, SIP's code, and what is found in the words."""


class Carrier:
    """A far end that does by number what real ones do."""

    def __init__(self, engine: sip.Engine) -> None:
        self.engine = engine
        self.invited: Counter[str] = Counter()
        self.callers: set[str] = set()
        self.phones: dict[str, Telephone] = {}
        self._held: set[asyncio.Task[None]] = set()

    @property
    def server(self) -> str:
        return f"127.0.0.1:{self.engine.addresses[0][2]}"

    async def run(self) -> None:
        async for dialog in self.engine.invitations():
            task = asyncio.create_task(self._take(dialog))
            self._held.add(task)
            task.add_done_callback(self._held.discard)

    async def _take(self, dialog: sip.Dialog) -> None:
        assert dialog.invitation is not None
        number = dialog.invitation.uri.removeprefix("sip:").partition("@")[0]
        self.invited[number] += 1
        self.callers.add(dialog.remote_uri)
        if (code := REFUSALS.get(number)) is not None:
            dialog.reject(code)
            return
        dialog.ring()
        if number == RINGS:
            return
        await asyncio.sleep(0.5)
        mine = bound()
        answer, media = sdp.Ours(mine.getsockname(), 3).answer(sdp.read(dialog.invitation.body))
        dialog.answer(answer)
        async with telephone(mine, media.remote) as phone:
            self.phones[number] = phone
            phone.is_sending = number != MUTE
            if number == LEAVES:
                await asyncio.sleep(1.0)
                await dialog.hang_up()
                return
            pressing = asyncio.create_task(self._press(phone)) if number == PRESSES else None
            async for _ in dialog.events():
                pass
            if pressing is not None:
                pressing.cancel()

    async def _press(self, phone: Telephone) -> None:
        """Listen to all of it, then press 5."""
        while (last := phone.last_sound()) is None or phone.heard[-1][0] - last < 1.0:
            await asyncio.sleep(0.05)
        phone.press(key_packets(phone.sender, 5))


@contextlib.asynccontextmanager
async def _carrier() -> AsyncIterator[Carrier]:
    everybody = sip.Admission(sources=None, per_second=100, burst=100)
    async with sip.Engine([sip.Listener("udp", "127.0.0.1", 0)], admission=everybody) as engine:
        carrier = Carrier(engine)
        running = asyncio.create_task(carrier.run())
        yield carrier
        running.cancel()


async def _trunk(stack: Stack, server: str, **more: Any) -> str:
    return str((await stack.post("/v1/sip-trunks", {"name": "T", "sip_server": server, **more}))["trunk_id"])


async def _tried(
    stack: Stack, trunk_id: str, number: str = PRESSES, headers: dict[str, str] | None = None, **more: Any
) -> dict[str, Any]:
    path = f"{stack.url}/v1/sip-trunks/{trunk_id}/test-call"
    asked = {"Authorization": f"Bearer {stack.api_key}", **(headers or {})}
    body, longest = {"to_number": number, **more}, aiohttp.ClientTimeout(total=90)
    async with stack.http.post(path, json=body, headers=asked, timeout=longest) as reply:
        assert reply.status == 200, await reply.text()
        return dict(await reply.json())


async def _followed(stack: Stack, trunk_id: str) -> dict[str, Any]:
    """One that nobody waits for: it stands where the answer says."""
    path, asked = f"/v1/sip-trunks/{trunk_id}/test-call", {"Authorization": f"Bearer {stack.api_key}"}
    body = {"to_number": "+14155550486", "wait": False}
    async with stack.http.post(stack.url + path, json=body, headers=asked) as reply:
        assert reply.status == 202, await reply.text()
        where = reply.headers["Location"]
    async with asyncio.timeout(10):
        while not (told := await stack.get(where))["is_over"]:
            await asyncio.sleep(0.05)
    return dict(told)


def _forbids(register: Message) -> bytes:
    return response(register, 403, "Forbidden", "t")


async def test_a_test_call_explains_what_was_seen(tmp_path: Path) -> None:
    first = free_port() // 2 * 2
    settings = {
        "CALL2ME_SIP_LISTEN": f"udp:127.0.0.1:{free_port()}",
        "CALL2ME_RTP_PORTS": f"{first}-{min(first + 100, 65_535)}",
        "CALL2ME_ALLOW_HOSTS": "127.0.0.1",
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
    }
    registrar = FarEnd()
    await registrar.start()
    registrar.outside["REGISTER"] = _forbids
    nobody, unheard = free_port(), bound()
    plain = await asyncio.start_server(_no_tls, "127.0.0.1", 0)
    try:
        async with _carrier() as carrier, running(tmp_path / "home", **settings) as stack:
            async with asyncio.timeout(20):
                while (await stack.get("/v1/sip/health"))["exchange"] != "up":
                    await asyncio.sleep(0.1)
            trunk = await _trunk(stack, carrier.server, outbound_caller_id=OURS, dial_prefix="00")
            plus = await _trunk(stack, carrier.server, outbound_caller_id=OURS)
            cases = {
                "silence": _tried(stack, await _trunk(stack, f"127.0.0.1:{unheard.getsockname()[1]}")),
                "refused": _tried(stack, await _trunk(stack, f"127.0.0.1:{nobody}", sip_transport="tcp")),
                "tls": _tried(
                    stack,
                    await _trunk(stack, f"127.0.0.1:{_port(plain)}", sip_transport="tls"),
                ),
                "forbidden": _tried(
                    stack,
                    await _trunk(
                        stack, f"127.0.0.1:{registrar.port}", sip_username="alice", sip_password="secret"
                    ),
                ),
                "prefixed": _tried(stack, trunk, "+14155550404"),
                RINGS: _tried(stack, plus, RINGS, ring_timeout_seconds=5),
            }
            cases[LISTENS] = _tried(stack, plus, LISTENS, {"Idempotency-Key": "k1"})
            for number in (PRESSES, MUTE, LEAVES, *REFUSALS):
                cases[number] = _tried(stack, plus, number)
            seen = dict(zip(cases, await asyncio.gather(*cases.values()), strict=True))
            heard = understood(carrier.phones[PRESSES].sound().repeat(2), 16_000)
            again = await _tried(stack, plus, LISTENS, {"Idempotency-Key": "k1"})
            later = await _followed(stack, plus)
            asked = await stack.get("/v1/calls?direction=outbound&limit=100")
    finally:
        registrar.close()
        unheard.close()
        plain.close()
    assert all(words in heard for words in ("test call", "press any key")), heard
    for name, (success, code, words, advice) in EXPECTED.items():
        one = seen[name]
        assert (one["is_over"], one["success"], one["sip_code"]) == (True, success, code), one
        assert words in one["summary"], one
        assert advice in " ".join(one["advice"]), one
    sure = seen[PRESSES]
    assert (sure["key_pressed"], sure["codec"], sure["was_said"], sure["advice"]) == ("5", "PCMU", True, [])
    assert sure["media"]["packets_received"] > 100
    assert sure["media"]["mos"] > 3.5
    assert 0.0 <= sure["seconds_to_ring"] < sure["seconds_to_answer"] < 30, "of the call itself"
    assert sure["from_number"] == OURS
    assert all(OURS in one for one in carrier.callers)
    assert seen[MUTE]["media"]["packets_received"] == 0
    assert seen[MUTE]["was_said"]
    assert "sip_password" in " ".join(seen["+14155550407"]["advice"])
    assert seen["forbidden"]["registration"] == "not_registered"
    assert again == seen[LISTENS]
    assert carrier.invited[LISTENS] == 1
    assert (later["success"], later["sip_code"]) == (False, 486)
    assert carrier.invited["0014155550404"] == 1, "spelled as the trunk wants it"
    assert not set(carrier.invited.values()) - {1, 2}
    assert asked["total"] == len(cases) + 1, "they stand among the calls"


def _port(server: asyncio.Server) -> int:
    return int(server.sockets[0].getsockname()[1])


async def _no_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Somebody who speaks something else."""
    await reader.read(10)
    writer.write(b"hello\r\n")
    writer.close()
