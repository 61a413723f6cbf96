"""Two telephones put through: each side's own payload types, no strangers, and nobody left behind."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiortp import RtpPacket

from pipelines.contract.phones import SipTrunk
from tests.support.rtp import Sender
from tests.support.telephone import bound
from worker.exchange import bridge, sdp, taps
from worker.exchange.bridge import Bridge
from worker.exchange.calls import PhoneCall
from worker.exchange.dialogs import Dialogs
from worker.exchange.frames import Changed, Over
from worker.lines.rtp import unanswered
from worker.lines.rtp.media import Media
from worker.lines.rtp.pace import Pace


@dataclass
class Dialog:
    """SIP's part."""

    is_over: bool = False

    async def hang_up(self) -> None:
        self.is_over = True


@dataclass
class Side:
    far: socket.socket
    call: PhoneCall
    sender: Sender = field(default_factory=lambda: Sender(sequence=1, timestamp=1))

    def send(self, payload_type: int, *, source: socket.socket | None = None) -> None:
        at = self.sender.timestamp
        packet = RtpPacket(payload_type, 0, self.sender.sequence, at, self.sender.ssrc, b"\x7f" * 160)
        self.sender.sequence += 1
        (source or self.far).sendto(packet.serialize(), self.call.sockets[0].getsockname())

    def heard(self) -> list[int]:
        """Payload types, in order."""
        types = []
        with contextlib.suppress(BlockingIOError):
            while True:
                types.append(RtpPacket.parse(self.far.recv(2048)).payload_type)
        return types


@pytest.fixture
async def sides(tmp_path: Path) -> AsyncIterator[tuple[Side, Side, Bridge]]:
    made = []
    with contextlib.ExitStack() as stack:
        for number, digits in enumerate((96, 101)):
            far, rtp, rtcp = (stack.enter_context(bound()) for _ in range(3))
            far.setblocking(False)
            media = Media("PCMU", 0, far.getsockname(), digits_payload_type=digits)
            ours = sdp.Ours(rtp.getsockname(), 1)
            trunk = SipTrunk(trunk_id="t", server="127.0.0.1")
            dialog: Any = Dialog()
            call = PhoneCall(f"c{number}", dialog, trunk, (rtp, rtcp), ours, media, Dialogs(tmp_path))
            made.append(Side(far, call))
        one, another = made
        tasks: set[asyncio.Future[Any]] = set()
        between = Bridge(one.call, another.call, lambda work: tasks.add(asyncio.ensure_future(work)))
        yield one, another, between
        between.end()
        await asyncio.gather(*tasks)


async def test_each_side_hears_its_own_payload_types(sides: tuple[Side, Side, Bridge]) -> None:
    one, another, _ = sides
    for type_ in (0, 0, 96, 18, 101):
        one.send(type_)
    for type_ in (0, 0, 101):
        another.send(type_)
    await asyncio.sleep(0.1)
    assert another.heard() == [0, 0, 101]
    assert one.heard() == [0, 0, 96]


async def test_a_stranger_is_not_put_through(sides: tuple[Side, Side, Bridge]) -> None:
    one, another, _ = sides
    for _ in range(3):
        one.send(0)
    await asyncio.sleep(0.05)
    with bound() as stranger:
        for _ in range(30):
            one.send(0, source=stranger)
            stranger.sendto(b"\x80\xc8" + b"x" * 40, one.call.sockets[0].getsockname())
    await asyncio.sleep(0.05)
    assert len(another.heard()) == 3


async def test_a_side_that_is_moved_to_a_third_party_does_not_flood_it(
    sides: tuple[Side, Side, Bridge], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, another, between = sides
    monkeypatch.setattr(unanswered, "MOST_UNANSWERED", 20)
    for side in (another, one):
        for _ in range(3):
            side.send(0)
        await asyncio.sleep(0.05)
    assert len(another.heard()) == 3
    thirds = []
    with contextlib.ExitStack() as stack:
        for _ in range(2):
            third = stack.enter_context(bound())
            third.setblocking(False)
            another.call.media = Media("PCMU", 0, third.getsockname())
            between.tell(Changed(call_id="c1", media=another.call.media))
            for _ in range(30):
                one.send(0)
            await asyncio.sleep(0.05)
            thirds.append(third)
        got = []
        for third in thirds:
            with contextlib.suppress(BlockingIOError):
                while third.recv(2048):
                    got.append(third)
        assert got == [thirds[0]] * 20, "both together, and nothing for as long as they say nothing"
        assert another.heard() == []
        for number in range(3):
            another.send(0, source=thirds[1])
            await asyncio.sleep(0.01 * number)
        one.send(0)
        await asyncio.sleep(0.05)
        assert thirds[1].recv(2048), "one that speaks is who it is"


@dataclass
class Shard:
    """Hears what is relayed, over a socket for each side."""

    told: list[Any] = field(default_factory=list)
    ours: list[socket.socket] = field(default_factory=list)

    def tell(self, frame: Any, sockets: tuple[socket.socket, ...] = ()) -> None:
        self.told.append(frame)

    def heard(self, number: int) -> list[int]:
        """Payload types of what came of a side."""
        types = []
        with contextlib.suppress(BlockingIOError):
            while True:
                types.append(RtpPacket.parse(self.ours[number].recv(2048)).payload_type)
        return types


@pytest.fixture
async def shard(sides: tuple[Side, Side, Bridge]) -> AsyncIterator[Shard]:
    """It listens, and both sides were heard before."""
    one, another, between = sides
    for side in (one, another):
        side.send(0)
        side.send(0)
    await asyncio.sleep(0.05)
    assert (one.heard(), another.heard()) in (([0], [0, 0]), ([0, 0], [0]), ([0, 0], [0, 0]))
    shard: Any = Shard()
    pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(2)]
    shard.ours = [mine for mine, _ in pairs]
    for mine in shard.ours:
        mine.setblocking(False)
    between.tap(shard, (pairs[0][1], pairs[1][1]))
    yield shard
    for mine in shard.ours:
        mine.close()


async def test_who_listens_gets_copies_and_is_told_of_both_sides(
    sides: tuple[Side, Side, Bridge], shard: Shard
) -> None:
    one, another, between = sides
    assert [frame.one.digits_payload_type for frame in shard.told] == [96]
    one.send(0)
    one.send(96)
    await asyncio.sleep(0.05)
    assert another.heard() == [0, 101]
    assert shard.heard(0) == [0], "a key that was relayed is nobody else's"
    one.call.media = Media("PCMU", 0, one.far.getsockname(), they_listen=False)
    between.tell(Changed(call_id="c0", media=one.call.media))
    assert not shard.told[-1].one.they_listen
    shard.ours[0].close()
    one.send(0)
    one.send(0)
    await asyncio.sleep(0.05)
    assert another.heard() == [0, 0]
    between.end()
    assert shard.told[-1].kind == "parted"


async def test_who_talks_is_heard_instead_until_they_fall_silent(
    sides: tuple[Side, Side, Bridge], shard: Shard, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, another, between = sides
    monkeypatch.setattr(taps, "RELAYED_AFTER_SECONDS", 60.0)
    said = RtpPacket(0, 0, 1, 160, 77, b"\x7f" * 160).serialize()

    async def sends(*types: int) -> list[int]:
        for type_ in types:
            one.send(type_)
        await asyncio.sleep(0.02)
        return another.heard()

    shard.ours[1].send(said)
    await asyncio.sleep(0.02)
    assert another.heard() == [0]
    assert await sends(0, 96, 0) == []
    assert shard.heard(0) == [0, 96, 0]
    shard.ours[1].send(b"\0")
    await asyncio.sleep(0.02)
    assert await sends(0) == [0], "at once"
    assert await sends(96) == [], "the same key, which is the shard's to send on"
    one.sender.timestamp += 1600

    shard.ours[1].send(said)
    await asyncio.sleep(0.02)
    monkeypatch.setattr(taps, "RELAYED_AFTER_SECONDS", 0.01)
    await asyncio.sleep(0.02)
    assert await sends(0) == [0, 0], "without a word, as when it has died"
    monkeypatch.setattr(taps, "RELAYED_AFTER_SECONDS", 60.0)
    shard.ours[1].send(said)
    await asyncio.sleep(0.02)
    between.part(shard)  # type: ignore[arg-type]
    assert await sends(0, 96) == [0, 0, 101]


async def test_a_side_that_floods_is_put_through_as_much_as_a_phone_could_say(
    sides: tuple[Side, Side, Bridge], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, another, between = sides
    monkeypatch.setattr(between._sides[0], "pace", Pace(0.001, 20))
    for _ in range(8):
        for _ in range(10):
            one.send(0)
        await asyncio.sleep(0.01)
    assert len(another.heard()) == 20


async def test_who_hangs_up_ends_it_for_both(sides: tuple[Side, Side, Bridge]) -> None:
    one, another, between = sides
    between.tell(Over(call_id="c1", cause="user_hangup"))
    await asyncio.sleep(0)
    assert one.call.dialog.is_over
    one.send(0)
    one.send(0)
    await asyncio.sleep(0.05)
    assert another.heard() == []


async def test_a_side_that_is_gone_without_a_word_is_noticed(
    sides: tuple[Side, Side, Bridge], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _, between = sides
    monkeypatch.setattr(bridge, "NO_MEDIA_SECONDS", 0.0)
    between._look()
    await asyncio.sleep(0)
    assert one.call.dialog.is_over
