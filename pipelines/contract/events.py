"""What happens in a call, told by its worker in order."""

from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, Field, FiniteFloat, TypeAdapter

from pipelines.contract.actions import Action
from pipelines.contract.message import Message
from pipelines.transcript import PassageUsed, Turn, Utterance

MAX_EVENTS_PER_BATCH = 256
"""More in one request is a 422; a worker sends the rest in the next one."""

SEQUENCES_PER_ATTEMPT = 1_000_000
"""Attempt n of a call numbers its events from (n - 1) * this, so attempts never collide."""

LIVE_TOPIC = "call2me.event"
"""LiveKit data topic on which a call tells its room of turns, warnings and its end (JSON)."""


class _Event(Message):
    call_id: str
    attempt: int
    sequence: int
    at: AwareDatetime


class CallStarted(_Event):
    """The session runs on its line. Names what really listens, thinks and speaks."""

    kind: Literal["call_started"] = "call_started"
    worker_id: str
    stt: str
    llm: str
    tts: str


class UtteranceHeard(_Event):
    """Somebody said something, and it is over."""

    kind: Literal["utterance"] = "utterance"
    utterance: Utterance
    usage: dict[str, FiniteFloat] = Field(default_factory=dict)
    """With the agent's own: what the attempt has used so far, as in `CallEnded`, should nothing more come."""


class TurnTaken(_Event):
    """The agent answered, and this is where the time went."""

    kind: Literal["turn"] = "turn"
    turn: Turn


class FunctionStarted(_Event):
    """A function is about to run. Spooled before it does: should the process die, it is known to be open."""

    kind: Literal["function_started"] = "function_started"
    function_call_id: str
    name: str
    arguments: dict[str, Any]


class KnowledgeUsed(_Event):
    """What an answer had before it from the knowledge base. `utterance_id` is the agent's utterance."""

    kind: Literal["knowledge"] = "knowledge"
    utterance_id: str
    passages: tuple[PassageUsed, ...]


class FunctionCalled(_Event):
    """A function ran. Exactly one of `result` and `error` is set."""

    kind: Literal["function"] = "function"
    function_call_id: str = ""
    name: str
    arguments: dict[str, Any]
    result: str | None = None
    error: str | None = None
    started_at: AwareDatetime
    duration_ms: FiniteFloat


class WarningRaised(_Event):
    """Something is not as the agent's owner asked; the call goes on."""

    kind: Literal["warning"] = "warning"
    code: str
    message: str


CallStatus = Literal["completed", "failed", "ended", "transferred"]


class TransferTried(_Event):
    """The caller was to be handed to somebody, and this is what came of it."""

    kind: Literal["transfer"] = "transfer"
    target: str
    """Its name."""
    to: str
    """Its number or address."""
    mode: Literal["cold", "warm"]
    outcome: Literal["referred", "bridged", "failed"]
    """`referred`: the carrier has both. `bridged`: their sound passes us, and the call goes on."""
    why_not: str = ""
    duration_ms: FiniteFloat = 0
    """How long it took."""


class Steered(_Event):
    """Somebody outside steered the call, and it did as it was told."""

    kind: Literal["steered"] = "steered"
    action: Action


class MediaQuality(Message):
    """How well the two sides of a phone call could hear each other. None: the other side told nothing."""

    codec: str
    packets_received: int
    packets_lost: int
    """Of those that the other side sent."""
    packets_late: int
    """Came after they were given up; not among the lost."""
    packets_dropped: int
    """Of strangers."""
    packets_sent: int
    jitter_ms: FiniteFloat
    mos: FiniteFloat
    """What people would say of what we heard, from 1 to 4.4: an estimate after ITU-T G.107."""
    remote_lost_percent: FiniteFloat | None = None
    remote_jitter_ms: FiniteFloat | None = None
    round_trip_ms: FiniteFloat | None = None


class MediaMeasured(_Event):
    """The line's sound in figures, at the end of an attempt on the phone."""

    kind: Literal["media"] = "media"
    quality: MediaQuality


class CallEnded(_Event):
    """The last event of an attempt that could still speak for itself."""

    kind: Literal["call_ended"] = "call_ended"
    status: CallStatus
    reason: str
    """`user_hangup`, `agent_hangup`, `silence`, `max_duration`, `error: …`; at most 500 characters."""
    has_recording: bool = False
    is_bridged: bool = False
    """Transferred, and the caller talks on through our exchange: the call's end is when that ends."""
    is_overheard: bool = False
    """Of an attempt that heard two who were put through: they may talk on."""
    usage: dict[str, FiniteFloat] = Field(default_factory=dict)
    """`llm_input_tokens`, `llm_output_tokens`, `tts_characters`, `stt_seconds`."""


class CallLost(_Event):
    """The process of a call is gone before the call is over: another attempt may follow.

    Its supervisor says so in the place of a process that died; one that hands its call over, itself.
    """

    kind: Literal["call_lost"] = "call_lost"
    reason: str
    has_recording: bool = False
    is_handed_over: bool = False
    """On purpose, since the worker stops: not a death."""
    usage: dict[str, FiniteFloat] = Field(default_factory=dict)


CallEvent = Annotated[
    CallStarted
    | UtteranceHeard
    | TurnTaken
    | FunctionStarted
    | KnowledgeUsed
    | FunctionCalled
    | WarningRaised
    | Steered
    | MediaMeasured
    | TransferTried
    | CallEnded
    | CallLost,
    Field(discriminator="kind"),
]
EVENT: TypeAdapter[CallEvent] = TypeAdapter(CallEvent)


class EventBatch(Message):
    """Events of one or more calls, in each call's order."""

    worker_id: str
    events: Annotated[list[CallEvent], Field(max_length=MAX_EVENTS_PER_BATCH)]


class BatchReceipt(Message):
    """How many of a batch were new, and what is not wanted any more."""

    accepted: int
    refused: dict[str, int] = Field(default_factory=dict)
    """Call id to an attempt: of this attempt and those before it, no more events are taken."""
    replaced: dict[str, int] = Field(default_factory=dict)
    """The same of attempts whose processes are to leave, since others have their calls. What they have to
    tell until then is still taken."""
