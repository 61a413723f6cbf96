"""Messages that twist SIP's grammar or break it, one fault each, as RFC 4475 lists them; ours by the letter.

What is twisted and right must ring. What is wrong is refused, or dropped where nobody could be answered, or
understood all the same: it never rings as something else, and whoever comes next is heard.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterable

import pytest

from tests.integration.sip.conftest import MakeEngine
from tests.support.sip_messages import Message, sdp
from worker.exchange.calls import number_in
from worker.exchange.sdp import read as sdp_of
from worker.exchange.sip import Admission, Dialog

EVERYBODY = Admission(sources=("127.0.0.0/8",), per_second=100_000, burst=100_000)
OFFER = sdp()
Make = Callable[["Sender"], bytes]


class Sender:
    """Sends bytes as they are, and reads what comes back."""

    def __init__(self, port: int) -> None:
        self.to = ("127.0.0.1", port)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.port = self.socket.getsockname()[1]
        self.number = 0

    def message(
        self,
        start: str = "INVITE sip:agent@127.0.0.1 SIP/2.0",
        *,
        without: Iterable[str] = (),
        instead: dict[str, str] | None = None,
        more: Iterable[str] = (),
        body: str = OFFER,
    ) -> bytes:
        """A request that is in order but for what is asked."""
        self.number += 1
        method = start.split(maxsplit=1)[0]
        lines = {
            "Via": f"SIP/2.0/UDP 127.0.0.1:{self.port};branch=z9hG4bK-t{self.number};rport",
            "Max-Forwards": "70",
            "From": f"<sip:caller@127.0.0.1>;tag=f{self.number}",
            "To": "<sip:agent@127.0.0.1>",
            "Call-ID": f"torture-{self.number}",
            "CSeq": f"1 {method}",
            "Contact": f"<sip:caller@127.0.0.1:{self.port}>",
            "Content-Type": "application/sdp",
            "Content-Length": str(len(body)),
        }
        lines |= instead or {}
        head = [f"{name}: {value}" for name, value in lines.items() if name not in set(without)]
        return "\r\n".join([start, *head, *more, "", body]).encode()

    async def answered(self, data: bytes, seconds: float = 0.6) -> int:
        """The final code, or 1 when only a provisional one came; 0: nothing did."""
        self.socket.sendto(data, self.to)
        loop, code = asyncio.get_running_loop(), 0
        try:
            async with asyncio.timeout(seconds):
                while code < 200:
                    code = Message(await loop.sock_recv(self.socket, 65_536)).code
        except TimeoutError:
            return 1 if code else 0
        return code

    def response(self, line: str, via: str = "SIP/2.0/UDP 127.0.0.1;branch=z9hG4bKnone") -> bytes:
        """An answer to what nobody asked."""
        head = ["From: <sip:a@b>;tag=1", "To: <sip:a@b>;tag=2", "Call-ID: none", "CSeq: 1 INVITE"]
        return "\r\n".join([line, f"Via: {via}", *head, "Content-Length: 0", "", ""]).encode()


INVITE = "INVITE sip:agent@127.0.0.1 SIP/2.0"
OPTIONS = "OPTIONS sip:agent@127.0.0.1 SIP/2.0"
PARTS = (
    f"--7a\r\nContent-Type: application/sdp\r\n\r\n{OFFER}"
    "--7a\r\nContent-Type: application/isup\r\n\r\nx\r\n--7a--\r\n"
)

TWISTED: dict[str, Make] = {
    "escaped user and parameter": lambda s: s.message("INVITE sip:%2B1555%40x@127.0.0.1;a%3Bb=c SIP/2.0"),
    "nothing between name and address": lambda s: s.message(
        instead={"From": f"caller<sip:caller@127.0.0.1>;tag={s.number}"}
    ),
    "a semicolon in the user": lambda s: s.message("INVITE sip:user;par=u%40b@127.0.0.1 SIP/2.0"),
    "a request behind the end": lambda s: s.message() + s.message("INVITE sip:other@127.0.0.1 SIP/2.0"),
    "several parts": lambda s: s.message(instead={"Content-Type": "multipart/mixed;boundary=7a"}, body=PARTS),
    "an unknown scheme of authorization": lambda s: s.message(more=["Authorization: NoOneKnows data=here"]),
    "a date of another zone": lambda s: s.message(more=["Date: Fri, 01 Jan 2010 16:00:00 EST"]),
    "a telephone number for a URI": lambda s: s.message("INVITE tel:+15551234 SIP/2.0"),
}
WRONG: dict[str, tuple[int, Make]] = {
    "a longer body than came": (400, lambda s: s.message(instead={"Content-Length": "9999"})),
    "a body of less than nothing": (400, lambda s: s.message(instead={"Content-Length": "-999"})),
    "a length said twice": (400, lambda s: s.message(more=["Content-Length: 5"])),
    "a quote that does not end": (400, lambda s: s.message(instead={"To": '"Mr. A <sip:agent@127.0.0.1>'})),
    "another method in CSeq": (400, lambda s: s.message(instead={"CSeq": "1 OPTIONS"})),
    "what may be there once, twice": (400, lambda s: s.message(more=["CSeq: 2 INVITE", "To: <sip:o@x>"])),
    "a scheme that nobody knows": (416, lambda s: s.message("INVITE nobodyKnows:agent SIP/2.0")),
    "a web address": (416, lambda s: s.message("INVITE http://127.0.0.1/x SIP/2.0")),
    "an extension that nobody has": (420, lambda s: s.message(more=["Require: nothingSupportsThis"])),
    "a body of another kind": (
        415,
        lambda s: s.message(instead={"Content-Type": "application/unknown"}, body="<audio>x</audio>"),
    ),
    "no way back": (400, lambda s: s.message(without=("Contact",))),
}
NOBODYS: dict[str, Make] = {
    "folded, compact and spaced": lambda s: s.message(instead={"CSeq": "0009\r\n  INVITE"}),
    "every character of a method": lambda s: s.message("!a0-_.%*+`'~ sip:agent@127.0.0.1 SIP/2.0"),
    "an escaped method": lambda s: s.message("INV%49TE sip:agent@127.0.0.1 SIP/2.0"),
    "a null in a URI": lambda s: s.message("INVITE sip:a%00b@127.0.0.1 SIP/2.0"),
    "long values": lambda s: s.message(more=[f"X-Long: {'x' * 3000}"] * 6),
    "separators without anything between": lambda s: s.message(instead={"To": "<sip:agent@127.0.0.1>;;;"}),
    "numbers too large": lambda s: s.message(instead={"CSeq": "36893488147419103232 INVITE"}),
    "a number one too large": lambda s: s.message(instead={"CSeq": "4294967296 INVITE"}),
    "a URI in brackets": lambda s: s.message("INVITE <sip:agent@127.0.0.1> SIP/2.0"),
    "a space in a URI": lambda s: s.message("INVITE sip:agent@127.0.0.1; lr SIP/2.0"),
    "two spaces in the first line": lambda s: s.message("INVITE  sip:agent@127.0.0.1  SIP/2.0"),
    "headers in a URI": lambda s: s.message("INVITE sip:agent@127.0.0.1?Route=%3Csip:x%3E SIP/2.0"),
    "another version": lambda s: s.message("INVITE sip:agent@127.0.0.1 SIP/7.0"),
    "an unknown method that says INVITE": lambda s: s.message(
        "NEWMETHOD sip:agent@127.0.0.1 SIP/2.0", instead={"CSeq": "1 INVITE"}
    ),
    "no From, To and Call-ID": lambda s: s.message(without=("From", "To", "Call-ID")),
    "no CSeq": lambda s: s.message(without=("CSeq",)),
    "no Via": lambda s: s.message(without=("Via",)),
    "a null in what is registered": lambda s: s.message(
        "REGISTER sip:127.0.0.1 SIP/2.0", instead={"To": "<sip:null-%00@127.0.0.1>"}, body=""
    ),
    "a branch that is only the cookie": lambda s: s.message(
        OPTIONS, body="", instead={"Via": f"SIP/2.0/UDP 127.0.0.1:{s.port};branch=z9hG4bK"}
    ),
    "no hop left": lambda s: s.message(OPTIONS, body="", instead={"Max-Forwards": "0"}),
    "transports that nobody has": lambda s: s.message(
        OPTIONS, body="", more=["Via: SIP/2.0/X a;branch=z9hG4bKx"]
    ),
    "an answer with an odd reason": lambda s: s.response("SIP/2.0 200 = 2**3 * 5**2 \u043d"),
    "an answer without a reason": lambda s: s.response("SIP/2.0 100 "),
    "an answer with a code too large": lambda s: s.response("SIP/2.0 4294967301 better not"),
    "an answer for everybody": lambda s: s.response(
        "SIP/2.0 200 OK", "SIP/2.0/UDP 255.255.255.255;branch=z9hG4bK1"
    ),
}


@pytest.fixture
async def house(make_engine: MakeEngine) -> AsyncIterator[tuple[Sender, list[Dialog]]]:
    """Somebody who sends, and the calls that came of it."""
    engine = await make_engine(admission=EVERYBODY)
    rung: list[Dialog] = []

    async def take() -> None:
        async for dialog in engine.invitations():
            rung.append(dialog)
            dialog.reject(486)

    taking = asyncio.create_task(take())
    sender = Sender(engine.addresses[0][2])
    yield sender, rung
    sender.socket.close()
    taking.cancel()
    await asyncio.gather(taking, return_exceptions=True)


async def test_what_is_twisted_and_right_rings(house: tuple[Sender, list[Dialog]]) -> None:
    sender, rung = house
    for what, make in TWISTED.items():
        before = len(rung)
        assert await sender.answered(make(sender)) == 486, what
        assert len(rung) == before + 1, what
        invitation = rung[-1].invitation
        assert invitation is not None
        assert sdp_of(invitation.body).codecs, what
    assert [number_in(one.invitation.uri) for one in rung if one.invitation][::7] == ["+1555@x", "+15551234"]


async def test_what_is_wrong_is_refused_and_never_rings(house: tuple[Sender, list[Dialog]]) -> None:
    sender, rung = house
    for what, (code, make) in WRONG.items():
        assert await sender.answered(make(sender)) == code, what
    assert rung == []


async def test_nothing_of_it_does_any_harm(house: tuple[Sender, list[Dialog]]) -> None:
    sender, rung = house
    for what, make in NOBODYS.items():
        sender.socket.sendto(make(sender), sender.to)
        code = await sender.answered(sender.message(OPTIONS, body=""), 5)
        assert code >= 200, what
    assert all(one.invitation and number_in(one.invitation.uri) in ("agent", "a\0b") for one in rung)
    assert await sender.answered(sender.message(), 5) >= 200


async def test_a_storm_of_goodbyes_ends_no_call_but_its_own(house: tuple[Sender, list[Dialog]]) -> None:
    sender, _ = house
    for number in range(400):
        stranger = {"To": f"<sip:agent@127.0.0.1>;tag=none{number}", "CSeq": "2 BYE"}
        sender.socket.sendto(
            sender.message("BYE sip:agent@127.0.0.1 SIP/2.0", instead=stranger, body=""), sender.to
        )
    heard = [await sender.answered(b"", 5) for _ in range(100)]
    assert set(heard) == {481}
    again = sender.message("BYE sip:agent@127.0.0.1 SIP/2.0", instead=stranger, body="")
    for _ in range(50):
        sender.socket.sendto(again, sender.to)
    invite = sender.message()
    async with asyncio.timeout(20):
        while await sender.answered(invite, 0.5) != 486:
            pass  # lost in the storm, or an answer to it: said again, as a telephone does
