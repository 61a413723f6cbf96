"""A shard's part of two who were put through: whom it tells what, and when it lets them be."""

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from pipelines.contract.actions import GiveBack, Listen, TakeOver
from pipelines.tools.call_control import CannotDo
from tests.support.rtp import Sender, key_packets, media, tone
from worker.exchange.bridged_lines import BridgedLines
from worker.exchange.frames import Attend, Attended, GaveBack, Overhear, Parted, Sides, Tapping
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


class Keeper:
    """Stands in for who keeps what is said."""

    def __init__(self, call_id: str, job_id: str) -> None:
        self.job = call_id, job_id
        self.heard: dict[str, list[bytes]] = {"caller": [], "person": []}
        self.words = Counter[str]()
        self._over = asyncio.Event()
        self.is_over = False

    def caller(self, pcm: bytes, sample_rate: int, at: float) -> None:
        self.heard["caller"].append(pcm)

    def agent(self, pcm: bytes, sample_rate: int, at: float) -> None:
        self.heard["person"].append(pcm)

    def person(self, pcm: bytes, sample_rate: int, at: float) -> None:
        self.words["person"] += 1

    def supervisor(self, pcm: bytes, sample_rate: int, at: float) -> None:
        self.words["supervisor"] += 1

    def end(self) -> None:
        self._over.set()

    async def run(self) -> None:
        await self._over.wait()
        self.is_over = True


@dataclass
class House:
    """The shard's part, what it told, and the exchange's ends of its sockets."""

    lines: BridgedLines = field(init=False)
    rooms: list[Room] = field(default_factory=list)
    keepers: list[Keeper] = field(default_factory=list)
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

    def keep(self, call_id: str, job_id: str) -> Any:
        self.keepers.append(Keeper(call_id, job_id))
        return self.keepers[-1]

    def close(self) -> None:
        for one in self.ends:
            one.close()

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
    house.lines = BridgedLines(rooms, Clock(), house.tell, house.keep)
    yield house
    await house.lines.aclose()
    house.close()


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


async def test_what_is_said_is_kept_whether_or_not_somebody_listens(house: House) -> None:
    overhear = Overhear(call_id="c1", sides=SIDES, job_id="j1")
    house.lines.received(overhear)
    assert [(one.kind, one.is_overheard) for one in house.told] == [("tapping", True)], "at once"
    house.lines.received(overhear)
    (keeper,) = house.keepers
    assert keeper.job == ("c1", "j1")
    assert await house.does(LISTEN) == ""
    (room,) = house.rooms

    def says(number: int, hertz: int) -> None:
        for packet in Sender(ssrc=hertz).packets(tone(0.2, hertz)):
            house.ends[number].send(packet.serialize())

    says(0, 500)
    says(1, 900)
    await until(lambda: all(len(heard) >= 5 for heard in keeper.heard.values()))
    assert all(np.frombuffer(b"".join(heard), np.int16).max() > 4000 for heard in keeper.heard.values())
    # Whoever talks with both is heard by the caller, and so kept.
    assert await house.does(TAKEN) == ""
    voice = np.ones(FRAME_BYTES // 2, np.int16)
    await until(
        lambda: any(np.array_equal(np.frombuffer(one, np.int16), voice) for one in keeper.heard["person"])
    )
    assert keeper.words["person"] >= 5
    assert keeper.words["supervisor"] >= 1
    # Nobody listens any more, and it is kept on; so it is for another exchange.
    assert await house.does(GiveBack()) == ""
    room.is_over = True
    await asyncio.sleep(0.06)
    house.close()
    house.lines.meet()
    assert (house.told[-1].kind, house.told[-1].is_overheard) == ("tapping", True)
    assert not keeper.is_over
    house.lines.received(Parted(call_id="c1"))
    await until(lambda: keeper.is_over)
    with pytest.raises(ConnectionError):
        house.ends[0].send(b"x")


async def test_who_listens_stays_when_nothing_is_to_be_kept(house: House) -> None:
    assert await house.does(LISTEN) == ""
    house.lines.received(Overhear(call_id="c1", sides=SIDES, job_id="j1"))
    house.keepers[0].end()
    await until(lambda: house.keepers[0].is_over)
    await asyncio.sleep(0.03)
    house.ends[0].send(next(Sender(ssrc=1).packets(tone(0.02, 500))).serialize())
    assert not house.rooms[0].is_over
    # A room that cannot be joined ends nothing that is kept.
    house.lines.received(Parted(call_id="c1"))
    house.is_full = True
    house.close()
    house.lines.received(Overhear(call_id="c1", sides=SIDES, job_id="j2"))
    assert await house.does(LISTEN) == "Too many"
    await asyncio.sleep(0.03)
    house.ends[0].send(b"x")
    assert not house.keepers[1].is_over
