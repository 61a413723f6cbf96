"""What api and worker tell each other: a brief down, events up, orders and status across.

        api ──POST brief──────────────────────────► CallBrief           (once for each attempt)
        api ◄─POST events, batches, at least once── CallEvent           (accepted once)
        api ◄─WebSocket: Hello, Status────────────  the worker's supervisor
        api ──WebSocket: HangUp, Order, TryFunction─►
        api ◄─WebSocket: Obeyed, FunctionTried──────
        api ──WebSocket: Dial, TakeUp─────────────►  its exchange, where it has one
        api ◄─POST PhoneRang, PhoneTold─────────────  what the exchange is called for, and how dialling goes

The field `version` of `CallBrief` is raised when an older worker could misread a newer api. Both
sides ignore fields they do not know.
"""

from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, FiniteFloat, TypeAdapter

from pipelines.agent_config import AgentConfig
from pipelines.costs import Prices
from pipelines.transcript import PassageUsed, Turn, Utterance

VERSION: Literal[1] = 1

MAX_EVENTS_PER_BATCH = 256
"""More in one request is a 422; a worker sends the rest in the next one."""

SEQUENCES_PER_ATTEMPT = 1_000_000
"""Attempt n of a call numbers its events from (n - 1) * this, so attempts never collide."""

AGENT_NAME = "call2me"
"""The LiveKit agent name that our workers register and our dispatches ask for."""

MAX_TRUNKS_TOLD = 300
"""Of so many trunks an exchange says whether they are registered: each second, in one frame."""
MAX_TRUNK_PROBLEM = 150

LIVE_TOPIC = "call2me.event"
"""LiveKit data topic on which a call tells its room of turns, warnings and its end (JSON)."""


class _Wire(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


# ── what somebody outside may have a running call do ──────────────────────────────────────────────
class Say(_Wire):
    """Speak this, in the agent's voice: at once, or when what is being said is over."""

    action: Literal["say"] = "say"
    text: Annotated[str, Field(min_length=1, max_length=2_000)]
    interrupts: bool = False


class AddContext(_Wire):
    """Know this from now on. It is not spoken."""

    action: Literal["context"] = "context"
    text: Annotated[str, Field(min_length=1, max_length=10_000)]


class Transfer(_Wire):
    """Hand the caller to one of the agent's transfer targets, by its name."""

    action: Literal["transfer"] = "transfer"
    target: Annotated[str, Field(min_length=1, max_length=200)]


HoldSound = Literal["music", "silence", "none"]
"""What is heard by whoever waits: music of ours, a soft line, or what their own carrier plays."""


class Hold(_Wire):
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


class Mute(_Wire):
    """One side is not heard, until `is_on` is false."""

    action: Literal["mute"] = "mute"
    side: Literal["agent", "caller"] = "agent"
    is_on: bool = True


_Identity = Annotated[str, Field(min_length=1, max_length=128)]
_Who = Annotated[str, Field(max_length=100)]
"""What somebody is called in the call's record."""


class Listen(_Wire):
    """Bring both sides of a telephone into a room, where this person is about to listen."""

    action: Literal["listen"] = "listen"
    room_name: Annotated[str, Field(min_length=1, max_length=200)]
    identity: _Identity
    name: _Who = ""


class Whisper(_Wire):
    """Words for the agent alone."""

    action: Literal["whisper"] = "whisper"
    text: Annotated[str, Field(min_length=1, max_length=2_000)]
    name: _Who = ""


class WhisperAloud(_Wire):
    """What this person says in the room reaches the agent alone, until `is_on` is false."""

    action: Literal["whisper_aloud"] = "whisper_aloud"
    identity: _Identity
    name: _Who = ""
    is_on: bool = True


class TakeOver(_Wire):
    """This person talks to the caller, and the agent is silent and hears nothing."""

    action: Literal["take_over"] = "take_over"
    identity: _Identity
    name: _Who = ""
    when_left: Literal["agent", "end"] = "agent"
    """What follows when they leave the room: the agent goes on, or the call ends."""


class GiveBack(_Wire):
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


# ── the brief ────────────────────────────────────────────────────────────────────────────────────
class KnowledgeVersion(_Wire):
    """The newest index of a knowledge base; `GET /internal/knowledge/{base_id}/{version}` has its bytes."""

    base_id: str
    name: str = ""
    version: int
    """0: nothing of it has been read yet."""
    digest: str = ""
    """SHA-256 of the bytes."""
    is_gone: bool = False
    """Its owner deleted it."""
    titles: tuple[str, ...] = ()
    """Of some of its sources, in a brief: names that a recogniser may hear."""


class KnowledgeWanted(_Wire):
    """A worker asks for the newest versions of these bases; one that is not in the answer is gone."""

    base_ids: Annotated[list[str], Field(max_length=1000)]


class BriefRequest(_Wire):
    """A worker asks whom a call is for. The same `job_id` again gets the same attempt."""

    worker_id: str
    job_id: str
    attempt: Annotated[int, Field(ge=0)] = 0
    """The attempt that the job was dispatched for; 0 for the dispatch of a token, which knows none."""


class FunctionRun(_Wire):
    """A function that an earlier attempt called. Neither result nor error: it was under way at its death."""

    function_call_id: str
    name: str
    arguments: dict[str, Any]
    result: str | None = None
    error: str | None = None
    started_at: AwareDatetime

    @property
    def is_interrupted(self) -> bool:
        """Nobody knows whether it did what it was to do."""
        return self.result is None and self.error is None


class MenuChoice(_Wire):
    """One key of a menu, and where it leads: to an agent by its id, or to a telephone."""

    key: str
    label: str = ""
    kind: Literal["agent", "phone"]
    value: str


class Reception(_Wire):
    """What comes before the agent: a menu, or a person who is rung first; not both."""

    say: str = ""
    choices: tuple[MenuChoice, ...] = ()
    forward_to: str = ""


class CallBrief(_Wire):
    """Everything one attempt at one call needs to know, as it was at this moment."""

    version: Literal[1] = VERSION
    call_id: str
    attempt: Annotated[int, Field(ge=1)] = 1
    agent: AgentConfig
    variables: dict[str, str] = {}
    caller_number: str = ""
    """Who is on the other side, where a telephone told it."""
    prices: Prices | None = None
    """What its providers cost, for an agent that limits its cost."""
    knowledge: tuple[KnowledgeVersion, ...] = ()
    max_duration_seconds: Annotated[int, Field(ge=1)] = 3600
    participant_identity: str = ""
    """Whom the agent listens to in the room."""
    transcript: tuple[Utterance, ...] = ()
    """What earlier attempts heard and said; empty for a new call."""
    functions: tuple[FunctionRun, ...] = ()
    """What earlier attempts ran, so that nothing is run twice."""
    steered: tuple[Action, ...] = ()
    """What earlier attempts were told from outside, in order."""
    reception: Reception | None = None
    """Of a call that comes in, for its first attempt."""
    started_at: AwareDatetime | None = None
    """When the first attempt began to listen: limits of duration count from there."""
    used: dict[str, FiniteFloat] = {}
    """What earlier attempts used, as in `CallEnded`: limits of tokens and cost count it, too."""


class JobMetadata(_Wire):
    """What a LiveKit dispatch carries. A token's holder can read it, so nothing secret is here."""

    call_id: str
    attempt: Annotated[int, Field(ge=0)] = 0
    """Which attempt this is for; 0 in a token, whose room may be made a second time."""


# ── phones: what api and exchange tell each other ───────────────────────────────────────────────────
class SipTrunk(_Wire):
    """One carrier or PBX, as the exchange needs it."""

    trunk_id: str
    server: str
    """`host` or `host:port`."""
    proxies: tuple[str, ...] = ()
    transport: Literal["udp", "tcp", "tls"] = "udp"
    username: str = ""
    password: Annotated[str, Field(repr=False)] = ""
    registers: bool = False
    allowed_addresses: tuple[str, ...] = ()
    """Addresses and networks that its calls come from; empty: where `server` and `proxies` are."""
    caller_id: str = ""


class SipTrunks(_Wire):
    """Every trunk that is in use, whoever it belongs to."""

    trunks: tuple[SipTrunk, ...]


class PhoneRang(_Wire):
    """Somebody calls a number. The same `sip_call_id` again gets the same call."""

    worker_id: str
    sip_call_id: Annotated[str, Field(min_length=1, max_length=300)]
    trunk_id: str
    to_number: Annotated[str, Field(max_length=100)]
    from_number: Annotated[str, Field(max_length=100)] = ""
    from_name: Annotated[str, Field(max_length=200)] = ""
    headers: Annotated[dict[str, Annotated[str, Field(max_length=500)]], Field(max_length=32)] = {}
    """Those whose names begin with X-."""
    is_busy: bool = False
    """No line is free: only what is owed to the caller afterwards is asked for, and 409 is the answer."""


class PhoneRoute(_Wire):
    """Whom it is for: the call's row is there, and a brief can be asked for."""

    call_id: str
    apart: str = ""
    """Only calls with the same word may share its process; empty: any that have none."""


class PhoneTold(_Wire):
    """How a call goes at the carrier. `ended` is told once more after the agent's own end: for the code."""

    worker_id: str
    state: Literal["ringing", "answered", "ended"]
    sip_code: Annotated[int, Field(ge=0, le=699)] = 0
    """0 where SIP never got an answer: `sip_reason` says why."""
    at: AwareDatetime | None = None
    """When it happened: the api may have been away for a while."""
    sip_reason: Annotated[str, Field(max_length=200)] = ""


class PhoneOnwardAsked(_Wire):
    """The exchange is to hand a call to this number, and asks whether it may."""

    to_number: Annotated[str, Field(min_length=1, max_length=100)]


class PhoneOnward(_Wire):
    """It may: whom to dial, and from which number of ours."""

    to_number: str
    from_number: str


class Dial(_Wire):
    """The api orders a call to be made. Sent once, and answered with `Obeyed` once it is on its way."""

    kind: Literal["dial"] = "dial"
    order_id: str
    call_id: str
    trunk_id: str
    to_number: str
    from_number: str
    ring_seconds: Annotated[int, Field(ge=5, le=180)] = 60
    apart: str = ""
    """As in `PhoneRoute`."""


class TakeUp(_Wire):
    """A phone call's process died: another is to go on with it, as this attempt."""

    kind: Literal["take_up"] = "take_up"
    order_id: str
    call_id: str
    attempt: Annotated[int, Field(ge=1)]


# ── events ───────────────────────────────────────────────────────────────────────────────────────
class _Event(_Wire):
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
    usage: dict[str, FiniteFloat] = {}
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


class MediaQuality(_Wire):
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
    usage: dict[str, FiniteFloat] = {}
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
    usage: dict[str, FiniteFloat] = {}


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


class EventBatch(_Wire):
    """Events of one or more calls, in each call's order."""

    worker_id: str
    events: Annotated[list[CallEvent], Field(max_length=MAX_EVENTS_PER_BATCH)]


class BatchReceipt(_Wire):
    """How many of a batch were new, and what is not wanted any more."""

    accepted: int
    refused: dict[str, int] = {}
    """Call id to an attempt: of this attempt and those before it, no more events are taken."""


# ── the WebSocket between a worker's supervisor and the api ───────────────────────────────────────
class Available(_Wire):
    """One thing an agent may ask for here (`stt`, `llm`, `tts`), and why not if it may not."""

    kind: Literal["stt", "llm", "tts"]
    provider: str
    is_available: bool
    languages: tuple[str, ...] = ()
    """Language codes (`en`, `tr`); empty means any."""
    hint: str = ""
    """What to do to make it available."""


class FunctionSignature(_Wire):
    """A developer's function that this worker has loaded. `parameters` is a JSON Schema object."""

    name: str
    description: str
    parameters: dict[str, Any]


class Hello(_Wire):
    """First frame of a worker's supervisor, and again when what it offers has changed."""

    kind: Literal["hello"] = "hello"
    worker_id: str
    version: str
    functions: tuple[FunctionSignature, ...] | None = None
    """None until its folder was read for the first time."""
    available: tuple[Available, ...] = ()


class Status(_Wire):
    """Sent each second and on every change. Running calls that are missing from `call_ids` are lost."""

    kind: Literal["status"] = "status"
    is_ready: bool
    """True only when this worker could answer a call now."""
    why_not: str = ""
    call_ids: tuple[str, ...] = ()
    processes: dict[str, int] = {}
    """Name of a part to its process id."""
    phones_why_not: str | None = None
    """Why this worker could take or place no phone call now, empty when it could; None: it has no phones."""
    trunks: dict[str, str] = {}
    """Of trunks that its exchange registers: why each is not registered, empty when it is."""


class Goodbye(_Wire):
    """Last frame of a supervisor that stops on purpose."""

    kind: Literal["goodbye"] = "goodbye"


class FunctionTried(_Wire):
    """What came of a `TryFunction`."""

    kind: Literal["function_tried"] = "function_tried"
    order_id: str
    ok: bool
    result: str = ""
    error: str = ""
    elapsed_ms: FiniteFloat = 0


class TryFunction(_Wire):
    """The api orders a developer's function to be run, as a call would run it, in a process of its own."""

    kind: Literal["try_function"] = "try_function"
    order_id: str
    name: str
    arguments: dict[str, Any] = {}
    timeout_ms: Annotated[int, Field(ge=100, le=60_000)] = 8_000


class Order(_Wire):
    """Somebody outside steers a running call. Sent once, answered once or not at all."""

    kind: Literal["order"] = "order"
    order_id: str
    call_id: str
    timeout_ms: Annotated[int, Field(ge=100, le=60_000)] = 5_000
    action: Action


class Obeyed(_Wire):
    """What came of an order; `refused` and `not_here` changed nothing."""

    kind: Literal["obeyed"] = "obeyed"
    order_id: str
    outcome: Literal["done", "refused", "not_here"]
    message: str = ""


class HangUp(_Wire):
    """The api orders a call to end."""

    kind: Literal["hang_up"] = "hang_up"
    call_id: str
    reason: str
    hands_over: bool = False
    """Leave quietly: the room and those in it belong to another attempt."""


FromWorker = Annotated[Hello | Status | FunctionTried | Obeyed | Goodbye, Field(discriminator="kind")]
FROM_WORKER: TypeAdapter[FromWorker] = TypeAdapter(FromWorker)

ToWorker = Annotated[HangUp | TryFunction | Order | Dial | TakeUp, Field(discriminator="kind")]
TO_WORKER: TypeAdapter[ToWorker] = TypeAdapter(ToWorker)
