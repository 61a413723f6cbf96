"""A shard's part of two who were put through: whom it tells what, and when it lets them be."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from pipelines.contract.actions import GiveBack, Listen, TakeOver
from pipelines.tools.call_control import CannotDo
from tests.support.rtp import Sender, key_packets, media, tone
from worker.exchange.bridged_lines import BridgedLines
from worker.exchange.frames import Attend, Attended, GaveBack, Parted, Sides, Tapping
from worker.lines.line import Left
from worker.lines.rtp.clock import Clock
from worker.lines.rtp.media import RELAY_AGAIN

SIDES = Sides(call_id="c1", one=media(), another=media(digits_payload_type=96))
FRAME_BYTES = 320


@dataclass
class Room:
    """Stands in for the room where somebody is."""

    on_left: Any
    is_over: bool = False
    is_shaken: bool = False
    has_talker: bool = False
    heard: dict[str, list[bytes]] = field(default_factory=lambda: {"caller": [], "person": []})

    def caller(self, pcm: bytes) -> None:
        self.heard["caller"].append(pcm)

    def person(self, pcm: bytes) -> None:
        self.heard["person"].append(pcm)

    def voice(self) -> bytes | None:
        return b"\1\0" * (FRAME_BYTES // 2)

    async def hand_to(self, identity: str) -> None:
        self.has_talker = True

    async def take_back(self) -> None:
        self.has_talker = False

    async def aclose(self) -> None:
        self.is_over, self.has_talker = True, False


@dataclass
class House:
    """The shard's part, what it told, and the exchange's ends of its sockets."""

    lines: BridgedLines = field(init=False)
    rooms: list[Room] = field(default_factory=list)
    told: list[Any] = field(default_factory=list)
    ends: list[socket.socket] = field(default_factory=list)
    is_full: bool = False
    may_join: asyncio.Event = field(default_factory=asyncio.Event)

    async def join(self, name: str, rate: int, seconds: float, on_left: Any, sides: Any) -> Room:
        await self.may_join.wait()
        if self.is_full:
            raise CannotDo("Too many")
        self.rooms.append(Room(on_left))
        return self.rooms[-1]

    def tell(self, frame: Any, sockets: tuple[socket.socket, ...]) -> None:
        self.told.append(frame)
        if sockets:
            self.ends = [one.dup() for one in sockets]
            for one in self.ends:
                one.setblocking(False)

    async def does(self, action: Listen | TakeOver | GiveBack) -> str:
        """Why it was not done."""
        order_id = f"o{len(self.told)}"
        self.lines.received(Attend(call_id="c1", sides=SIDES, order_id=order_id, action=action, seconds=5))

        def answers() -> list[Attended]:
            return [one for one in self.told if isinstance(one, Attended) and one.order_id == order_id]

        await until(answers)
        return answers()[0].why_not

    def kinds(self, number: int) -> list[int]:
        """Payload types of what is sent to a side; -1: relay again."""
        types: list[int] = []
        with contextlib.suppress(BlockingIOError):
            while True:
                packet = self.ends[number].recv(2048)
                types.append(-1 if packet == RELAY_AGAIN else packet[1] & 0x7F)
        return types


async def until(true: Any) -> None:
    async with asyncio.timeout(5):
        while not true():
            await asyncio.sleep(0.005)


@pytest.fixture
async def house() -> AsyncIterator[House]:
    house = House()
    house.may_join.set()
    rooms: Any = house
    house.lines = BridgedLines(rooms, Clock(), house.tell)
    yield house
    await house.lines.aclose()
    for one in house.ends:
        one.close()


LISTEN = Listen(room_name="listen_c1", identity="l1")
TAKEN = TakeOver(identity="l1", name="Ann")


async def test_both_are_heard_and_nothing_is_sent_before_somebody_talks(house: House) -> None:
    assert "ask to listen first" in await house.does(TAKEN)
    assert await house.does(LISTEN) == ""
    assert [one.kind for one in house.told] == ["attended", "tapping", "attended"]
    for end, hertz in zip(house.ends, (500, 900), strict=True):
        for packet in Sender(ssrc=hertz).packets(tone(0.2, hertz)):
            end.send(packet.serialize())
    (room,) = house.rooms
    await until(lambda: all(len(heard) >= 5 for heard in room.heard.values()))
    assert all(np.frombuffer(b"".join(heard), np.int16).max() > 4000 for heard in room.heard.values())
    assert (house.kinds(0), house.kinds(1)) == ([], [])
    assert "two talk with each other" in await house.does(GiveBack())


async def test_who_talks_is_sent_to_both_and_keys_go_to_the_other(house: House) -> None:
    await house.does(LISTEN)
    assert await house.does(TAKEN) == ""
    for packet in key_packets(Sender(), 5, 101):
        house.ends[0].send(packet.serialize())
    await asyncio.sleep(0.3)
    assert set(house.kinds(0)) == {0}
    assert set(house.kinds(1)) == {0, 96}
    assert await house.does(GiveBack()) == ""
    await asyncio.sleep(0.06)
    for number in (0, 1):
        assert house.kinds(number)[-1] == -1
    await asyncio.sleep(0.06)
    assert house.kinds(0) == []


async def test_who_leaves_gives_it_back_and_an_empty_room_ends_it(house: House) -> None:
    await house.does(LISTEN)
    await house.does(TAKEN)
    (room,) = house.rooms
    await asyncio.sleep(0.1)
    room.has_talker = False
    room.on_left(Left("l1", had_the_call=True))
    told = house.told[-1]
    assert isinstance(told, GaveBack)
    assert told.action == GiveBack(identity="l1", name="Ann", has_left=True)
    assert not told.ends
    await asyncio.sleep(0.06)
    assert house.kinds(0)[-1] == -1
    room.is_over = True
    await asyncio.sleep(0.06)
    with pytest.raises(ConnectionError):
        house.ends[0].send(b"x")
    house.lines.meet()
    assert isinstance(house.told[-1], GaveBack), "it is nothing to another exchange"


async def test_another_exchange_gets_sockets_of_its_own_until_it_says_that_it_is_over(house: House) -> None:
    await house.does(LISTEN)
    before = house.ends
    house.lines.meet()
    assert [one.kind for one in house.told] == ["tapping", "attended", "tapping"]
    with pytest.raises(ConnectionError):
        before[0].send(b"x")
    for one in before:
        one.close()
    house.lines.received(Parted(call_id="c1"))
    await until(lambda: house.rooms[0].is_over)


async def test_a_call_that_ends_before_there_is_a_room_leaves_none_behind(house: House) -> None:
    house.may_join.clear()
    asked = asyncio.create_task(house.does(LISTEN))
    await asyncio.sleep(0.01)
    house.lines.received(Parted(call_id="c1"))
    await asyncio.sleep(0.01)
    house.may_join.set()
    assert await asked == "The call is over"
    await until(lambda: house.rooms[0].is_over)
    assert not any(isinstance(one, Tapping) for one in house.told)
    house.is_full = True
    assert await house.does(LISTEN) == "Too many"
    house.is_full = False
    assert await house.does(LISTEN) == ""
