"""What somebody outside may have a running call do."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from pipelines.contract.message import Message


class Say(Message):
    """Speak this, in the agent's voice: at once, or when what is being said is over."""

    action: Literal["say"] = "say"
    text: Annotated[str, Field(min_length=1, max_length=2_000)]
    interrupts: bool = False


class AddContext(Message):
    """Know this from now on. It is not spoken."""

    action: Literal["context"] = "context"
    text: Annotated[str, Field(min_length=1, max_length=10_000)]


class Transfer(Message):
    """Hand the caller to one of the agent's transfer targets, by its name."""

    action: Literal["transfer"] = "transfer"
    target: Annotated[str, Field(min_length=1, max_length=200)]


HoldSound = Literal["music", "silence", "none"]
"""What is heard by whoever waits: music of ours, a soft line, or what their own carrier plays."""


class Hold(Message):
    """Nobody hears the other, until `is_on` is false or it has lasted too long."""

    action: Literal["hold"] = "hold"
    is_on: bool = True
    sound: HoldSound = "music"
    max_seconds: Annotated[int, Field(ge=1, le=3600)] = 600
    at_limit: Literal["resume", "end"] = "resume"
    by: Literal["order", "agent", "limit", "caller"] = "order"
    """Who has done it; `caller` is told of only, since their own side keeps it."""
    until: AwareDatetime | None = None
    """When it has lasted too long; set once it began, so that it ends then whatever dies meanwhile."""


class Mute(Message):
    """One side is not heard, until `is_on` is false."""

    action: Literal["mute"] = "mute"
    side: Literal["agent", "caller"] = "agent"
    is_on: bool = True
    by: Literal["order", "agent", "limit"] = "order"
    """Who has done it: what was ordered is not the agent's to undo."""
    until: AwareDatetime | None = None
    """When the side is heard again by itself; None: never."""


_Identity = Annotated[str, Field(min_length=1, max_length=128)]
_Who = Annotated[str, Field(max_length=100)]
"""What somebody is called in the call's record."""


class Listen(Message):
    """Bring both sides of a telephone into a room, where this person is about to listen."""

    action: Literal["listen"] = "listen"
    room_name: Annotated[str, Field(min_length=1, max_length=200)]
    identity: _Identity
    name: _Who = ""


class Whisper(Message):
    """Words for the agent alone."""

    action: Literal["whisper"] = "whisper"
    text: Annotated[str, Field(min_length=1, max_length=2_000)]
    name: _Who = ""


class WhisperAloud(Message):
    """What this person says in the room reaches the agent alone, until `is_on` is false."""

    action: Literal["whisper_aloud"] = "whisper_aloud"
    identity: _Identity
    name: _Who = ""
    is_on: bool = True


class TakeOver(Message):
    """This person talks to the caller, and the agent is silent and hears nothing."""

    action: Literal["take_over"] = "take_over"
    identity: _Identity
    name: _Who = ""
    when_left: Literal["agent", "end"] = "agent"
    """What follows when they leave the room: the agent goes on, or the call ends."""


class GiveBack(Message):
    """The agent talks to the caller again."""

    action: Literal["give_back"] = "give_back"
    identity: Annotated[str, Field(max_length=128)] = ""
    name: _Who = ""
    has_left: bool = False
    """Nobody gave it back: they were gone."""


Action = Annotated[
    Say | AddContext | Transfer | Hold | Mute | Listen | Whisper | WhisperAloud | TakeOver | GiveBack,
    Field(discriminator="action"),
]
