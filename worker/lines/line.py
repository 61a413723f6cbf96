"""What a call needs of whatever it talks over: a room today, a telephone tomorrow."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from livekit import rtc
from livekit.agents import Agent, AgentSession

from pipelines.agent_config import TransferTarget
from pipelines.contract.actions import HoldSound
from pipelines.contract.events import MediaQuality
from pipelines.tools.call_control import Ability
from worker.lines.causes import HangUpCause
from worker.lines.queueing import Place
from worker.lines.rtp.answering import AnsweredBy


@dataclass(frozen=True)
class LineClosed:
    """The other side is gone. `detail` says more for the record, never who it was."""

    cause: HangUpCause
    detail: str = ""


@dataclass(frozen=True)
class Left:
    """Somebody who listened is not in the room any more."""

    identity: str
    had_the_call: bool


class AudioTap(Protocol):
    """Someone who listens to both sides, as they sound, while the call runs (the recording).

    Frames are int16 mono little-endian PCM; `at` is `time.time()` at their first sample.
    """

    def caller(self, pcm: bytes, sample_rate: int, at: float) -> None:
        """The caller said this."""

    def agent(self, pcm: bytes, sample_rate: int, at: float) -> None:
        """The agent was heard saying this: only what was really played, also after a barge-in."""


class Line(Protocol):
    """Audio in and out, and who is on it. `call.py` knows lines by these words only.

    opened ──start()──► talking ──closed() returns / hang_up()──► over
    """

    warn: Callable[[str, str], None]
    """Told what the call's record should say of the line, with a code and a sentence. The call sets it."""
    on_held: Callable[[bool], None]
    """Told when the other side holds the call, and when it comes back. The call sets it."""

    async def start(self, session: AgentSession[Any], agent: Agent, tap: AudioTap | None) -> None:
        """Wait for the other side, connect the session's audio to it and start the session.

        Raises `NobodyCame` when nobody is on the line after the time it allows.
        """

    async def closed(self) -> LineClosed:
        """Return once the other side has gone for good; a short network loss is not that."""

    async def tell(self, message: dict[str, Any]) -> None:
        """Show something beside the audio, where the line can (a page); else nothing happens."""

    @property
    def abilities(self) -> frozenset[Ability]:
        """What else can be done on it, at this moment."""

    async def digit(self) -> str:
        """The next key that the other side presses: one of 0-9, *, #."""

    async def send_digits(self, digits: str) -> None:
        """Send tones. Raises `CannotDo` where the line has none."""

    async def hold(self, *, is_on: bool, sound: HoldSound = "music") -> None:
        """Let the other side wait, or come back. Raises `CannotDo`.

        Meanwhile nothing of the voice is played; what it still says waits, and follows afterwards. Also
        before `start`, and twice does no harm.
        """

    async def transfer(self, target: TransferTarget, *, seconds: float) -> bool:
        """Hand the other side to somebody else and leave (cold). Raises `CannotDo`; the line stays then.

        True where their sound still passes through here, `seconds` at most: the call goes on without us.
        """

    def measured(self) -> MediaQuality | None:
        """How well the two sides could hear each other, where the line itself can tell."""

    async def hang_up(self, *, for_everybody: bool = True) -> None:
        """End the line for everybody on it, or only leave it. Safe to call twice."""


@runtime_checkable
class Screens(Protocol):
    """A line that hears who has answered it, before its session starts."""

    @property
    def is_ours(self) -> bool:
        """We have called."""

    async def answered_by(self, timeout_seconds: float, tap: AudioTap | None = None) -> AnsweredBy:
        """A person or a machine; `nobody` has said anything within this time.

        The tap is told of what is heard from now on until the session starts.
        """

    async def beep(self, timeout_seconds: float) -> bool:
        """Return once a machine listens: after its beep, or when it has said all. False: it still talks."""


@runtime_checkable
class Overheard(Protocol):
    """A line whose other side can be put through where we still hear it."""

    is_overheard: bool
    """What it says then is kept. The call sets it before it begins."""


@runtime_checkable
class Queues(Protocol):
    """A line whose other side may have to wait before anybody is free for them."""

    place: Place
    """Where they stand. As long as they wait they hear music, and nobody hears them."""

    @property
    def rate(self) -> int:
        """Of what is announced."""

    async def announce(self, pcm: bytes) -> None:
        """Say this in the place of the music, int16 mono; returns when it was said."""

    async def digit(self) -> str:
        """The next key that they press."""

    def go_on(self) -> None:
        """They wait no more."""


class Listeners(Protocol):
    """People who hear a line from a room, and whom its other side hears once they have taken the call."""

    on_left: Callable[[Left], None]
    """Told of each who is gone. The call sets it."""
    overheard: AudioTap | None
    """Told of both sides while a person has the call, in pieces that leave no gap. The call sets it."""

    async def attend(self, room_name: str) -> None:
        """Let a room hear both sides, until nobody has been in it for a while. Raises `CannotDo`."""

    async def microphone(self, identity: str, rate: int) -> rtc.AudioStream:
        """What somebody there says, int16 mono at `rate`. Raises `CannotDo`."""

    async def hand_to(self, identity: str) -> None:
        """The other side hears this person in the agent's place. Raises `CannotDo`; nothing changed then."""

    async def take_back(self) -> None:
        """The other side hears the agent again. Safe where it does already."""


@runtime_checkable
class Attended(Protocol):
    """A line that can be listened to from a room."""

    @property
    def listeners(self) -> Listeners:
        """Those who listen, or may."""


@runtime_checkable
class Consults(Protocol):
    """A line whose other side can be handed to somebody who was asked before (warm)."""

    async def consult(self, target: TransferTarget) -> "Leg":
        """Call somebody; returns once they have answered. Raises `CannotDo`."""

    def join(self, leg: "Leg") -> None:
        """Let the two hear each other beside the agent, until either line is left."""

    async def put_through(self, leg: "Leg", *, seconds: float) -> None:
        """Let the two hear each other, `seconds` at most, and leave both. Raises `CannotDo`."""


class Leg(Line, Screens, Protocol):
    """The line to somebody who was called."""


class NobodyCame(Exception):
    """Nobody came to this call"""
