"""A scripted far end that sees the wire: raw SIP over UDP, so that it may do what no good phone does."""

import asyncio
import re
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any

SDP = (
    "v=0\r\no=far 1 {n} IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=audio 40000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na={direction}\r\n"
)
_LONG = {
    "v": "via",
    "f": "from",
    "t": "to",
    "i": "call-id",
    "m": "contact",
    "l": "content-length",
    "k": "supported",
}

Lines = Iterable[str]
Script = Callable[["FarCall"], Awaitable[None]]


def sdp(direction: str = "sendrecv", n: int = 1) -> str:
    """An offer or answer."""
    return SDP.format(n=n, direction=direction)


class Message:
    """One that was received, as text."""

    def __init__(self, data: bytes) -> None:
        head, _, self.body = data.decode(errors="replace").partition("\r\n\r\n")
        self.start, *lines = head.split("\r\n")
        self.headers: list[tuple[str, str]] = []
        for line in lines:
            name, _, value = line.partition(":")
            name = name.strip().lower()
            self.headers.append((_LONG.get(name, name), value.strip()))
        self.code = int(self.start.split()[1]) if self.start.startswith("SIP/2.0") else 0
        self.method = (self.get("cseq").split() or [""])[-1] if self.code else self.start.split()[0]
        self.uri = "" if self.code else self.start.split()[1]

    def get(self, name: str) -> str:
        """The first value of a header, or nothing."""
        return next((value for known, value in self.headers if known == name), "")

    def all(self, name: str) -> list[str]:
        """Every value of a header that may be a list."""
        return [part.strip() for known, value in self.headers if known == name for part in value.split(",")]

    def tag(self, name: str) -> str:
        """The tag of From or To."""
        found = re.search(r";tag=([^;>\s]+)", self.get(name))
        return found[1] if found else ""

    @property
    def user(self) -> str:
        """Whom the request is for."""
        found = re.match(r"sips?:([^@]+)@", self.uri)
        return found[1] if found else ""

    @property
    def branch(self) -> str:
        """The transaction it belongs to."""
        return self.get("via").split("branch=")[-1].split(";")[0]


def _host(uri: str) -> tuple[str, int]:
    found = re.search(r"sips?:(?:[^@>]*@)?([\d.]+):(\d+)", uri)
    assert found, uri
    return found[1], int(found[2])


def response(
    request: Message, code: int, reason: str, tag: str = "", body: str = "", headers: Lines = ()
) -> bytes:
    """An answer to a request."""
    to = request.get("to")
    if tag and ";tag=" not in to:
        to += f";tag={tag}"
    lines = [f"SIP/2.0 {code} {reason}"]
    lines += [f"Via: {via}" for name, via in request.headers if name == "via"]
    lines += [f"Record-Route: {route}" for name, route in request.headers if name == "record-route"]
    lines += [f"From: {request.get('from')}", f"To: {to}"]
    lines += [f"Call-ID: {request.get('call-id')}", f"CSeq: {request.get('cseq')}", *headers]
    if body:
        lines.append("Content-Type: application/sdp")
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", body]).encode()


class FarCall:
    """One dialog as the far end sees it, whoever began it."""

    def __init__(self, far: "FarEnd", invite: Message, source: tuple[str, int]) -> None:
        self.far = far
        self.invite = invite
        self.source = source
        self.tag = f"far{uuid.uuid4().hex[:8]}"
        self.contact = f"<sip:far@127.0.0.1:{far.other}>"
        self.requests: list[tuple[int, Message]] = []
        """Each that came inside of the dialog, with the port it came to; retransmissions too."""
        self.responses: list[Message] = []
        """What came to an INVITE of ours."""
        self.is_ours = False
        self.sent = b""
        self.retransmissions = 0
        self.answers: dict[str, Callable[[Message], bytes | None]] = {}
        """How a method is answered instead of as usual; None is silence."""
        self.cseq = 100
        self.done = asyncio.Event()
        self._arrived = asyncio.Event()

    def of(self, method: str) -> list[Message]:
        """The requests of one kind."""
        return [message for _, message in self.requests if message.method == method]

    def ports(self, method: str) -> list[int]:
        """Where the requests of one kind came to."""
        return [port for port, message in self.requests if message.method == method]

    async def until(self, condition: Callable[[], bool], seconds: float = 5.0) -> bool:
        """Waits for what a request makes true; whether it became so."""
        try:
            async with asyncio.timeout(seconds):
                while not condition():
                    self._arrived.clear()
                    await self._arrived.wait()
        except TimeoutError:
            return False
        return True

    def reply(
        self, code: int, reason: str = "Reply", *, tag: str = "", body: str = "", headers: Lines = ()
    ) -> None:
        """Answers the INVITE, once."""
        said = [f"Contact: {self.contact}", *headers] if code < 300 else list(headers)
        self.far.send(
            self.far.port, response(self.invite, code, reason, tag or self.tag, body, said), self.source
        )

    async def answer(
        self,
        *,
        tag: str = "",
        headers: Lines = (),
        until: Callable[[], bool] | None = None,
        seconds: float = 12.0,
    ) -> bool:
        """200, again and again until it is acknowledged; whether it was."""
        wanted = tag or self.tag
        settled = until or (lambda: any(ack.tag("to") == wanted for ack in self.of("ACK")))
        interval, began = 0.5, asyncio.get_running_loop().time()
        while asyncio.get_running_loop().time() - began < seconds:
            self.reply(200, "OK", tag=tag, body=sdp(), headers=headers)
            if await self.until(settled, interval):
                return True
            interval = min(interval * 2, 4.0)
        return settled()

    async def request(
        self, method: str, body: str = "", headers: Lines = (), *, seconds: float = 4.0
    ) -> Message | None:
        """A request along the route set, its ACK when it is an INVITE; the final answer, if one comes."""
        self.cseq += 1
        common, target, where = self._way()
        typed = ["Content-Type: application/sdp"] if body and "ontent-" not in str(headers) else []
        lines = [*common, f"CSeq: {self.cseq} {method}", f"Contact: {self.contact}", *headers, *typed]
        answer = await self.far.transaction(
            self.far.other, f"{method} {target} SIP/2.0", lines, body, where, seconds
        )
        if method == "INVITE" and answer is not None and answer.code < 300:
            self.far.say(
                self.far.other, f"ACK {target} SIP/2.0", [*common, f"CSeq: {self.cseq} ACK"], "", where
            )
        return answer

    def _way(self) -> tuple[list[str], str, tuple[str, int]]:
        """The headers that each request inside of the dialog has, its URI, and where it is sent."""
        routes = [] if self.is_ours else self.invite.all("record-route")
        said = self.final if self.is_ours else self.invite
        target = re.search(r"<?(sips?:[^>;]+)", said.get("contact") or self.invite.uri)
        assert target
        us = self.invite.get("from") if self.is_ours else self.invite.get("to").split(";tag=")[0]
        them = said.get("to") if self.is_ours else said.get("from")
        headers = [f"Route: {route}" for route in routes]
        headers += [
            "Max-Forwards: 70",
            f"From: {us}" + ("" if self.is_ours else f";tag={self.tag}"),
            f"To: {them}",
            f"Call-ID: {self.invite.get('call-id')}",
        ]
        return headers, target[1], _host(routes[0]) if routes else _host(target[1])

    # ── a call that the far end began ───────────────────────────────────────────────────────────────────────

    @property
    def final(self) -> Message:
        """The final answer to our INVITE."""
        return next(answer for answer in self.responses if answer.code >= 200 and answer.method == "INVITE")

    def codes(self, method: str = "INVITE") -> list[int]:
        """What was answered, in order, repetitions included."""
        return [answer.code for answer in self.responses if answer.method == method]

    async def hears(self, code: int, seconds: float = 5.0, method: str = "INVITE") -> bool:
        """Waits for an answer."""
        return await self.until(lambda: code in self.codes(method), seconds)

    def ack(self, body: str = "") -> None:
        """Acknowledges the final answer; with a body, what becomes of an offer that was in it."""
        if self.final.code >= 300:
            self._beside("ACK", self.final.get("to"))
            return
        headers, target, where = self._way()
        cseq = self.invite.get("cseq").split()[0]
        typed = ["Content-Type: application/sdp"] if body else []
        lines = [*headers, f"CSeq: {cseq} ACK", *typed]
        self.far.say(self.far.port, f"ACK {target} SIP/2.0", lines, body, where)

    def cancel(self) -> None:
        """Takes the INVITE back."""
        self._beside("CANCEL", self.invite.get("to"))

    def again(self) -> None:
        """The very same INVITE once more, as if its answer was lost."""
        self.far.send(self.far.port, self.sent, self.source)

    def _beside(self, method: str, to: str) -> None:
        cseq = self.invite.get("cseq").split()[0]
        lines = ["Max-Forwards: 70", f"From: {self.invite.get('from')}", f"To: {to}"]
        lines += [f"Call-ID: {self.invite.get('call-id')}", f"CSeq: {cseq} {method}"]
        start = f"{method} {self.invite.uri} SIP/2.0"
        self.far.say(self.far.port, start, lines, "", self.source, self.invite.branch)

    def responded(self, message: Message) -> None:
        """The far end's: an answer to the INVITE or its CANCEL came."""
        self.responses.append(message)
        self._arrived.set()

    def received(self, port: int, message: Message, source: tuple[str, int]) -> None:
        """The far end's: a request came inside of this dialog."""
        self.requests.append((port, message))
        usual: dict[str, Callable[[Message], bytes | None]] = {
            "ACK": lambda _: None,
            "INVITE": lambda asked: response(
                asked,
                200,
                "OK",
                self.tag,
                sdp("recvonly" if "sendonly" in asked.body else "sendrecv", self.cseq),
                [f"Contact: {self.contact}"],
            ),
            "REFER": lambda asked: response(asked, 202, "Accepted", headers=[f"Contact: {self.contact}"]),
        }
        answer = (self.answers.get(message.method) or usual.get(message.method) or _ok)(message)
        if answer is not None:
            self.far.send(port, answer, source)
        self._arrived.set()


def _ok(asked: Message) -> bytes:
    return response(asked, 200, "OK")


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
