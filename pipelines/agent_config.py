"""What one agent is, frozen as it was when its call began.

What nearly every agent sets stands on `AgentConfig` itself; the rest is grouped by what it is about.
Every field that the contract does not have is optional and does nothing until it is set. An unknown
field is ignored and an explicit null is absent, at every depth, so that api and worker of neighbouring
versions understand each other.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Unit = Annotated[float, Field(ge=0, le=1)]
MessageMode = Literal["static", "dynamic"]
"""`static` is said as it stands, `dynamic` in the engine's own words."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: inner for name, inner in value.items() if inner is not None}
        return value


class ProviderChoice(_Part):
    """One provider in a chain, as asked for: `model` is a voice where something speaks.

    `options` are the provider's own, checked where the provider is built.
    """

    provider: str
    model: str = ""
    options: dict[str, Any] = {}


class McpServer(_Part):
    """A server whose tools an agent may use (MCP over HTTP)."""

    name: str
    url: str
    headers: dict[str, str] = {}
    allowed_tools: tuple[str, ...] = ()
    """Empty: all that the server has."""
    timeout_ms: Annotated[int, Field(ge=500, le=60_000)] = 10_000


class EngineConfig(_Part):
    """Which model thinks, and what it was told. `provider` and `model` are as asked, not as available."""

    instructions: str = ""
    provider: str = "openrouter"
    """`custom-llm` is a dialog engine of the owner's own, at `websocket_url`."""
    model: str = "openrouter/auto"
    kind: Literal["cascade", "realtime"] = "cascade"
    websocket_url: str = ""
    options: dict[str, Any] = {}
    """The provider's own (`pipelines.options`)."""
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.7
    max_tokens: Annotated[int, Field(ge=1, le=4096)] = 500
    """Of one answer."""
    functions: tuple[dict[str, Any], ...] = ()
    """As stored on the agent: `{"type": "python", "name": ...}` names a developer's function."""
    builtin_functions: tuple[str, ...] = ()
    """`end_call`, `transfer_call`, `hold_call`, `dtmf_input`, and what else this version has."""
    mcp_servers: tuple[McpServer, ...] = ()
    fallbacks: tuple[ProviderChoice, ...] = ()
    """Who thinks when the one above fails or is silent, in order."""


class HearingConfig(_Part):
    """What the agent listens with and for."""

    provider: str = ""
    """Empty: the best that is here."""
    model: str = ""
    options: dict[str, Any] = {}
    fallbacks: tuple[ProviderChoice, ...] = ()
    languages: tuple[str, ...] = ()
    """BCP-47 tags besides the agent's own that a caller may switch to in mid-call; empty: none."""
    key_terms: tuple[str, ...] = ()
    """Names and words that a recogniser would not expect."""
    noise_suppression: bool = False


class Pronunciation(_Part):
    """How one word is said: `word` in the text is spoken as `say`; the transcript keeps the word."""

    word: Annotated[str, Field(min_length=1, max_length=100)]
    say: Annotated[str, Field(max_length=200)]
    language: str = ""
    """Only in this language; empty: in each."""


class VoiceConfig(_Part):
    """How the agent sounds, besides which voice it has and how fast it speaks."""

    options: dict[str, Any] = {}
    """The provider's own (`pipelines.options`)."""
    volume: Annotated[float, Field(ge=0, le=2)] = 1.0
    """1.0 is the voice as it comes."""
    pronunciations: tuple[Pronunciation, ...] = ()
    background_sound: Literal["none", "office", "keyboard"] = "none"
    background_volume: Unit = 0.3
    fallbacks: tuple[ProviderChoice, ...] = ()


class TurnConfig(_Part):
    """Who has the floor, besides `responsiveness` and `interruption_sensitivity`."""

    detection: Literal["words", "vad", "stt", "model"] = "words"
    """What was said, silence alone, the recogniser's own end of turn, or a small model that listens to the
    voice; see `turn_taking`."""
    endpointing: Literal["fixed", "dynamic"] = "fixed"
    """`dynamic` learns how long this caller's pauses are."""
    min_interruption_words: Annotated[int, Field(ge=0, le=20)] = 0
    backchannel: bool = True
    """Whether the agent shows that it listens, and lets the caller do the same without stopping."""
    backchannel_frequency: Unit = 0.8
    backchannel_words: tuple[str, ...] = ()
    """Empty: the usual ones of the language."""


class OpeningConfig(_Part):
    """How a call begins, besides the words of `begin_message`."""

    delay_ms: Annotated[int, Field(ge=0, le=10_000)] = 0
    caller_first: bool = False
    """Wait for the caller's words; `begin_message` is not said."""
    uninterruptible: bool = False
    """A disclaimer is heard to its end, whatever the caller says meanwhile."""


class ReminderConfig(_Part):
    """What the agent does about a caller who says nothing."""

    frequency_ms: Annotated[int, Field(ge=3_000, le=60_000)] = 10_000
    max_count: Annotated[int, Field(ge=0, le=5)] = 2


class GoodbyeConfig(_Part):
    """The agent's last words where it is the agent who ends the call."""

    mode: MessageMode = "static"
    message: str = ""
    """Empty: a short goodbye in the language of the call."""
    prompt: str = ""
    """What the engine is told for a `dynamic` goodbye."""


class VoicemailConfig(_Part):
    """What happens when a machine answers a call that we made."""

    detection: bool = False
    timeout_ms: Annotated[int, Field(ge=2_000, le=15_000)] = 5_000
    action: Literal["hangup", "leave_message"] = "hangup"
    message: str = ""


class IvrNavigation(_Part):
    """Getting through the automated menu of whoever we have called."""

    goal: str
    """Where to, in words: "the appointments desk"."""
    max_menus: Annotated[int, Field(ge=1, le=30)] = 8
    """That are answered, or heard again."""
    max_wait_ms: Annotated[int, Field(ge=10_000, le=3_600_000)] = 600_000
    """From the answer until a person is there, music on hold included."""


class TransferTarget(_Part):
    """Somebody a call can be handed to. `value` is a number, a SIP address, an agent's id, a name."""

    name: str
    kind: Literal["phone", "sip", "agent", "external", "queue"]
    value: str
    mode: Literal["cold", "warm"] = "cold"
    """`warm`: whoever is called hears beforehand who comes, and may decline. Telephone numbers only."""
    private_message: str = ""
    """What they hear, they alone; empty: what the talk was about."""
    three_way: bool = False
    """The agent introduces the two to each other before it leaves."""
    public_message: str = ""
    """The words of that, which both hear; empty: a sentence in the language of the call."""
    accept_timeout_ms: Annotated[int, Field(ge=5_000, le=30_000)] = 15_000
    """How long they may think, twice."""


class FallbackConfig(_Part):
    """What happens when nothing here can think or speak any more."""

    action: Literal["end", "transfer", "callback"] = "end"
    target: str = ""
    """Name of the transfer target."""
    message: str = ""
    """Empty: a recorded apology in the language of the call."""


class LimitConfig(_Part):
    """What one call may use, besides how long it may last; None is no limit."""

    tokens: Annotated[int, Field(ge=1)] | None = None
    """Of the language model, in and out."""
    cost_usd: Annotated[float, Field(gt=0)] | None = None
    tool_calls: Annotated[int, Field(ge=0)] | None = None
    tool_calls_per_turn: Annotated[int, Field(ge=1, le=20)] = 5
    warn_before_end_seconds: Annotated[int, Field(ge=0, le=300)] = 30
    """How long before the longest duration the agent says that time is running out; 0: never."""


class AgentConfig(_Part):
    """One agent, as everything below the api sees it.

    Durations are milliseconds, `language` is a BCP-47 tag, `voice_id` is "provider-name".
    An empty `begin_message` lets the engine greet in its own words.
    """

    agent_id: str
    name: str
    language: str = "en-US"
    time_zone: str = ""
    """IANA name; empty: that of the machine."""
    engine: EngineConfig = EngineConfig()
    hearing: HearingConfig = HearingConfig()

    voice_id: str = ""
    voice_speed: Annotated[float, Field(ge=0.5, le=2.0)] = 1.0
    voice: VoiceConfig = VoiceConfig()

    begin_message: str = ""
    begin_message_mode: MessageMode = "dynamic"
    opening: OpeningConfig = OpeningConfig()
    goodbye: GoodbyeConfig = GoodbyeConfig()
    reminders: ReminderConfig = ReminderConfig()
    voicemail: VoicemailConfig = VoicemailConfig()
    ivr_navigation: IvrNavigation | None = None

    responsiveness: Unit = 0.5
    interruption_sensitivity: Unit = 0.5
    turns: TurnConfig = TurnConfig()

    end_call_after_silence_ms: Annotated[int, Field(ge=10_000, le=120_000)] = 30_000
    max_call_duration_ms: Annotated[int, Field(ge=60_000, le=7_200_000)] = 3_600_000
    limits: LimitConfig = LimitConfig()
    fallback: FallbackConfig = FallbackConfig()
    transfer_targets: tuple[TransferTarget, ...] = ()

    enable_recording: bool = False
    record_after_transfer: bool = False
    """Where the call is recorded: also what two say who were put through to each other by us."""
    transcribe_after_transfer: bool = False
    """What two say who were put through to each other by us is in the call's transcript."""
    kb_chunks_count: Annotated[int, Field(ge=1, le=10)] = 3
    kb_similarity_threshold: Unit = 0.6

    @property
    def is_overheard_after_transfer(self) -> bool:
        """Whether anything is kept of what two say who were put through."""
        return self.transcribe_after_transfer or (self.enable_recording and self.record_after_transfer)
