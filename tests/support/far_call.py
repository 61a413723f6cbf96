"""One dialog as a far end sees it, each message of which is the test's to send."""

import asyncio
import re
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.support.sip_messages import Lines, Message, host_in, response, sdp

if TYPE_CHECKING:
    from tests.support.far_end import FarEnd


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
        named = said.get("contact") or self.invite.uri
        target = re.search(r"<(sips?:[^>]+)>", named) or re.search(r"(sips?:[^>;]+)", named)
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
        return headers, target[1], host_in(routes[0]) if routes else host_in(target[1])

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
