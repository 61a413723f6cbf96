"""What exchange and shards tell each other: a Unix socket, one JSON object a line, sockets passed along.

shard    ──here {pid, call_ids}──────────────────► exchange
shard    ──holding {call_id} + RTP, RTCP─────────►            again, after either was restarted
exchange ──take {call_id, media} + RTP, RTCP─────► shard      also a call whose shard died
exchange ──changed, key, over────────────────────►
shard    ──hang_up, leave────────────────────────►
shard    ──transfer, hold────────────────────────►            answered with transferred, agreed
exchange ──ringing───────────────────────────────►            whoever is called for a call's other side
exchange ──early {media} + RTP, RTCP─────────────►            what their carrier plays before they answer
exchange ──reached {leg_id, media} + RTP, RTCP───►            they have answered, and talk to the agent first
shard    ──put_through───────────────────────────►            now both talk to each other
"""

import array
import asyncio
import logging
import socket
from collections import deque
from collections.abc import Callable, Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from worker.lines.causes import HangUpCause
from worker.lines.rtp.media import Media, OurDirection

logger = logging.getLogger(__name__)

MOST_UNSENT = 10_000
MOST_SECONDS = 4 * 3600.0
"""Of a call that was put through."""
_MOST_LINE = 64 * 1024
_MOST_SOCKETS = 2
_READ = 64 * 1024
_ONWARD = "-onward"


class _Frame(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


# ── from a shard ─────────────────────────────────────────────────────────────────────────────────
class Here(_Frame):
    """First, and whenever it has changed whether this shard takes calls."""

    kind: Literal["here"] = "here"
    pid: int
    call_ids: tuple[str, ...] = ()
    takes_calls: bool = True


class Holding(_Frame):
    """A call that this shard has already. Its sockets come with it."""

    kind: Literal["holding"] = "holding"
    call_id: str
    wish: OurDirection = "sendrecv"
    """What its line was told meanwhile, should nobody have listened."""


class HangUpLine(_Frame):
    """The call is over on our side."""

    kind: Literal["hang_up"] = "hang_up"
    call_id: str


class Leave(_Frame):
    """This shard has nothing to do with the call any more; another may have."""

    kind: Literal["leave"] = "leave"
    call_id: str


class TransferLine(_Frame):
    """Hand the other side on."""

    kind: Literal["transfer"] = "transfer"
    call_id: str
    target: Literal["phone", "sip"]
    value: str
    seconds: float = MOST_SECONDS
    """How long the two may talk where their sound passes the exchange."""
    is_warm: bool = False
    """Whoever is called is asked first: `Reached` follows, and nothing is put through yet."""


class PutThrough(_Frame):
    """Whoever was reached takes the call."""

    kind: Literal["put_through"] = "put_through"
    call_id: str
    seconds: float


class HoldLine(_Frame):
    """Hold the call, or go on with it: answered with `Agreed`."""

    kind: Literal["hold"] = "hold"
    call_id: str
    wish: OurDirection


# ── from the exchange ────────────────────────────────────────────────────────────────────────────
class Take(_Frame):
    """A call is answered: hold it. Its sockets come with it."""

    kind: Literal["take"] = "take"
    call_id: str
    job_id: str
    media: Media
    attempt: int = 0
    """Which attempt this is for, of a call whose process died."""
    can_transfer: bool = True
    is_ours: bool = False
    """We have called."""
    wish: OurDirection = "sendrecv"
    """Not both ways: it is on hold, and the line begins with that."""


class Changed(_Frame):
    """Both sides agreed on something else."""

    kind: Literal["changed"] = "changed"
    call_id: str
    media: Media


class Key(_Frame):
    """A key that came by SIP's own INFO."""

    kind: Literal["key"] = "key"
    call_id: str
    key: str


class Over(_Frame):
    """The other side is gone."""

    kind: Literal["over"] = "over"
    call_id: str
    cause: HangUpCause
    detail: str = ""


class Transferred(_Frame):
    """What came of a transfer, or of a warm one that reached nobody."""

    kind: Literal["transferred"] = "transferred"
    call_id: str
    is_done: bool
    is_bridged: bool = False
    """The sound passes the exchange, which has the call as long as it lasts."""
    why_not: str = ""


class Ringing(_Frame):
    """A telephone rings for this call's other side."""

    kind: Literal["ringing"] = "ringing"
    call_id: str


class Early(_Frame):
    """The carrier of whoever is called plays something: ringing of its own, or why nobody can answer.

    The sockets of that leg come with it; they are read until the transfer is over, or the leg is reached.
    """

    kind: Literal["early"] = "early"
    call_id: str
    media: Media


class Reached(_Frame):
    """Whoever is called for this call has answered. The sockets of that leg come with it.

    From now on `leg_id` is a call of the shard's: it is told of its keys, and may hang it up.
    """

    kind: Literal["reached"] = "reached"
    call_id: str
    leg_id: str
    media: Media


class Agreed(_Frame):
    """What came of a wish: agreed on, or why not."""

    kind: Literal["agreed"] = "agreed"
    call_id: str
    wish: OurDirection
    why_not: str = ""


FromShard = Here | Holding | HangUpLine | Leave | TransferLine | PutThrough | HoldLine
FromExchange = Take | Changed | Key | Over | Transferred | Ringing | Early | Reached | Agreed
FROM_SHARD: TypeAdapter[FromShard] = TypeAdapter(Annotated[FromShard, Field(discriminator="kind")])
FROM_EXCHANGE: TypeAdapter[FromExchange] = TypeAdapter(Annotated[FromExchange, Field(discriminator="kind")])


class Link:
    """One end. `on_frame` gets each line and the sockets that came with it, which it must close."""

    def __init__(
        self,
        connected: socket.socket,
        on_frame: Callable[[bytes, list[socket.socket]], None],
        on_close: Callable[[], None],
    ) -> None:
        connected.setblocking(False)
        self._socket = connected
        self._on_frame, self._on_close = on_frame, on_close
        self._loop = asyncio.get_running_loop()
        self._unsent: deque[tuple[bytes, list[int]]] = deque()
        self._is_writing = False
        self._read = bytearray()
        self._came: list[socket.socket] = []
        self.is_open = True
        self._loop.add_reader(connected, self._readable)

    def send(self, frame: BaseModel, sockets: Sequence[socket.socket] = ()) -> None:
        """Send a frame and copies of these sockets. Never waits; a link that is gone takes nothing."""
        if not self.is_open:
            return
        if len(self._unsent) >= MOST_UNSENT:
            logger.error("a link does not read what it is told and is closed")
            self.close()
            return
        # Copies, so that whoever sends may close theirs at once.
        copies = [socket.dup(one.fileno()) for one in sockets]
        self._unsent.append((frame.model_dump_json().encode() + b"\n", copies))
        if not self._is_writing:
            self._write()

    def close(self) -> None:
        """Close it, and say so. Twice does no harm."""
        if not self.is_open:
            return
        self.is_open = False
        self._loop.remove_reader(self._socket)
        if self._is_writing:
            self._loop.remove_writer(self._socket)
        self._socket.close()
        for _, copies in self._unsent:
            _close(copies)
        self._unsent.clear()
        for one in self._came:
            one.close()
        self._on_close()

    def _write(self) -> None:
        while self._unsent:
            data, copies = self._unsent[0]
            passed = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", copies))] if copies else []
            try:
                sent = self._socket.sendmsg([data], passed)
            except BlockingIOError:
                if not self._is_writing:
                    self._is_writing = True
                    self._loop.add_writer(self._socket, self._write)
                return
            except OSError:
                self.close()
                return
            _close(copies)
            if sent < len(data):
                self._unsent[0] = (data[sent:], [])
            else:
                self._unsent.popleft()
        if self._is_writing:
            self._is_writing = False
            self._loop.remove_writer(self._socket)

    def _readable(self) -> None:
        try:
            data, passed, _, _ = socket.recv_fds(self._socket, _READ, 16)
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        self._came += [socket.socket(fileno=one) for one in passed]
        if not data or len(self._read) > _MOST_LINE:
            self.close()
            return
        self._read += data
        while (end := self._read.find(b"\n")) >= 0 and self.is_open:
            line = bytes(self._read[:end])
            del self._read[: end + 1]
            try:
                self._on_frame(line, self._came)
            except ValidationError:
                logger.warning("a frame of the other process was not understood")


def leg_of(call_id: str) -> str:
    """What the leg is called of whoever is called for a call's other side."""
    return f"{call_id}{_ONWARD}"


def is_leg(call_id: str) -> bool:
    """Whether it is one."""
    return call_id.endswith(_ONWARD)


def taken(came: list[socket.socket]) -> tuple[socket.socket, socket.socket]:
    """The two sockets that came with a frame: RTP and RTCP. They come in order, as frames do."""
    if len(came) < _MOST_SOCKETS:
        raise ValueError("a call without its sockets")
    return came.pop(0), came.pop(0)


def _close(descriptors: list[int]) -> None:
    for one in descriptors:
        socket.close(one)
