"""A scripted far end that sees the wire: raw SIP over UDP, so that it may do what no good phone does."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from tests.support.far_call import FarCall
from tests.support.sip_messages import Lines, Message, response

Script = Callable[["FarCall"], Awaitable[None]]


class FarEnd:
    """INVITEs come to `port`; its Contact is `other`, to see who ignores a Contact; `third` is one more."""

    def __init__(self) -> None:
        self.scripts: dict[str, Script] = {}
        self.outside: dict[str, Callable[[Message], bytes | None]] = {}
        """How a method is answered outside of any dialog."""
        self.calls: list[FarCall] = []
        self.port = self.other = self.third = 0
        self._transports: dict[int, asyncio.DatagramTransport] = {}
        self._transactions: dict[str, asyncio.Queue[Message]] = {}
        self._begun: dict[str, FarCall] = {}
        self._running: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Opens its three ports."""
        loop = asyncio.get_running_loop()
        for name in ("port", "other", "third"):
            transport, _ = await loop.create_datagram_endpoint(
                lambda: _Leg(self), local_addr=("127.0.0.1", 0)
            )
            port = transport.get_extra_info("sockname")[1]
            setattr(self, name, port)
            self._transports[port] = transport

    def close(self) -> None:
        """Closes them."""
        for task in self._running:
            task.cancel()
        for transport in self._transports.values():
            transport.close()

    def on(self, user: str, script: Script) -> None:
        """What happens when this user is called."""
        self.scripts[user] = script

    async def call_of(self, call_id: str, seconds: float = 5.0) -> FarCall:
        """The call with this id, once it has come."""
        async with asyncio.timeout(seconds):
            while True:
                for call in self.calls:
                    if call.invite.get("call-id") == call_id:
                        return call
                await asyncio.sleep(0.02)

    def send(self, port: int, data: bytes, where: tuple[str, int]) -> None:
        """One datagram."""
        self._transports[port].sendto(data, where)

    def say(
        self, port: int, start: str, lines: Lines, body: str, where: tuple[str, int], branch: str = ""
    ) -> bytes:
        """One request."""
        via = f"Via: SIP/2.0/UDP 127.0.0.1:{port};rport;branch={branch or 'z9hG4bK' + uuid.uuid4().hex}"
        data = "\r\n".join([start, via, *lines, f"Content-Length: {len(body)}", "", body]).encode()
        self.send(port, data, where)
        return data

    async def transaction(
        self, port: int, start: str, lines: Lines, body: str, where: tuple[str, int], seconds: float
    ) -> Message | None:
        """One request, retransmitted until its final answer comes."""
        branch = "z9hG4bK" + uuid.uuid4().hex
        answers = self._transactions[branch] = asyncio.Queue()
        data = self.say(port, start, lines, body, where, branch)
        interval = 0.5
        try:
            async with asyncio.timeout(seconds):
                while True:
                    try:
                        answer = await asyncio.wait_for(answers.get(), interval)
                    except TimeoutError:
                        self.send(port, data, where)
                        interval = min(interval * 2, 4.0)
                        continue
                    if answer.code >= 200:
                        return answer
        except TimeoutError:
            return None

    def begin(
        self,
        engine: int,
        user: str,
        *,
        body: str = "",
        headers: Lines = (),
        routes: Lines = (),
        max_forwards: int = 70,
    ) -> FarCall:
        """Calls somebody at the engine; nothing but the INVITE is sent, the rest is the test's."""
        branch, tag = "z9hG4bK" + uuid.uuid4().hex, f"far{uuid.uuid4().hex[:8]}"
        lines = [f"Record-Route: {route}" for route in routes]
        lines += [
            f"Max-Forwards: {max_forwards}",
            f'From: "Al" <sip:+15550001@127.0.0.1>;tag={tag}',
            f"To: <sip:{user}@127.0.0.1:{engine}>",
            f"Call-ID: {uuid.uuid4().hex}",
            "CSeq: 7 INVITE",
            f"Contact: <sip:far@127.0.0.1:{self.other};x=1>",
            *headers,
        ]
        if body:
            lines.append("Content-Type: application/sdp")
        where = ("127.0.0.1", engine)
        data = self.say(
            self.port, f"INVITE sip:{user}@127.0.0.1:{engine} SIP/2.0", lines, body, where, branch
        )
        call = FarCall(self, Message(data), where)
        call.is_ours, call.sent, call.cseq = True, data, 7
        self.calls.append(call)
        self._begun[branch] = call
        return call

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """In the background, until the far end closes."""
        task = asyncio.ensure_future(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    def received(self, port: int, data: bytes, source: tuple[str, int]) -> None:
        """A datagram came."""
        if len(data) < 20:
            return
        message = Message(data)
        if message.code:
            if call := self._begun.get(message.branch):
                call.responded(message)
            elif answers := self._transactions.get(message.branch):
                answers.put_nowait(message)
            return
        known = [call for call in self.calls if call.invite.get("call-id") == message.get("call-id")]
        if message.method == "INVITE" and not message.tag("to"):
            for call in known:
                if call.invite.branch == message.branch:
                    call.retransmissions += 1
                    return
            begun = FarCall(self, message, source)
            self.calls.append(begun)
            self.run(self._play(begun))
        elif known:
            known[-1].received(port, message, source)
        elif message.method in self.outside:
            if answer := self.outside[message.method](message):
                self.send(port, answer, source)
        elif message.method != "ACK":
            self.send(port, response(message, 481, "No dialog"), source)

    async def _play(self, call: FarCall) -> None:
        script = self.scripts.get(call.invite.user, answers)
        try:
            await script(call)
        finally:
            call.done.set()


class _Leg(asyncio.DatagramProtocol):
    def __init__(self, far: FarEnd) -> None:
        self._far = far

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._port: int = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        self._far.received(self._port, data, address)


async def answers(call: FarCall) -> None:
    """Rings shortly and answers."""
    call.reply(180, "Ringing")
    await asyncio.sleep(0.2)
    await call.answer()
