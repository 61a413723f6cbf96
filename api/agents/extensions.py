"""What an agent may say here beyond the contract. Every field is optional."""

from typing import Annotated, Any, Literal
from zoneinfo import available_timezones

from pydantic import AfterValidator, Field

from api.agents import fields as f
from api.http.wire import Wire
from pipelines import options


def _known_zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError("This is not the IANA name of a time zone, like Europe/Berlin.")
    return name


TimeZone = Annotated[str, Field(max_length=50), AfterValidator(_known_zone)]


class Provider(Wire):
    """One provider of a chain. One that is not here is skipped at the call."""

    provider: f.Name
    model: Annotated[str, Field(max_length=200)] = ""
    """A voice where something speaks; empty: the provider's default."""
    options: Annotated[dict[str, Any], Field(max_length=50)] = Field(default_factory=dict)


def _with_options_of(kind: options.Kind) -> AfterValidator:
    """Options that the provider would refuse are refused when the agent is saved."""

    def check(provider: Provider) -> Provider:
        options.read(kind, provider.provider, provider.model, provider.options)
        return provider

    return AfterValidator(check)


Ears = Annotated[Provider, _with_options_of("stt")]
Mind = Annotated[Provider, _with_options_of("llm")]
Voice = Annotated[Provider, _with_options_of("tts")]
OwnOptions = Annotated[dict[str, Any], Field(max_length=50)]


class Failover(Wire):
    """Who hears, thinks and speaks when the first choice fails or is silent, in order."""

    stt: Annotated[list[Ears], Field(max_length=5)] = Field(default_factory=list)
    llm: Annotated[list[Mind], Field(max_length=5)] = Field(default_factory=list)
    tts: Annotated[list[Voice], Field(max_length=5)] = Field(default_factory=list)


class Pronunciation(Wire):
    """How one word is said; the transcript keeps the word."""

    word: f.Name
    say: Annotated[str, Field(max_length=200)]
    language: f.Language | None = None


class IvrNavigation(Wire):
    """Getting through the automated menu of whoever we call."""

    goal: Annotated[str, Field(max_length=1000)]
    """Where to, in words; {{variables}} are filled in. Empty: whatever answers is talked to."""
    max_menus: Annotated[int, Field(ge=1, le=30)] = 8
    """That are answered, or heard again, before the call is given up."""
    max_wait_ms: Annotated[int, Field(ge=10_000, le=3_600_000)] = 600_000
    """From the answer until a person is there, music on hold included."""


class Fallback(Wire):
    """What happens when nothing can think or speak any more."""

    action: Literal["end", "transfer", "callback"] = "end"
    target: Annotated[str, Field(max_length=200)] | None = None
    """Name of one of `transfer_targets`."""
    message: Annotated[str, Field(max_length=1000)] | None = None


class Limits(Wire):
    """What one call may use. What is not set is not limited."""

    tokens: Annotated[int, Field(ge=1)] | None = None
    cost_usd: Annotated[float, Field(gt=0)] | None = None
    tool_calls: Annotated[int, Field(ge=0)] | None = None
    tool_calls_per_turn: Annotated[int, Field(ge=1, le=20)] = 5
    warn_before_end_seconds: Annotated[int, Field(ge=0, le=300)] = 30


RetentionDays = Annotated[int, Field(ge=1, le=3650)]


class ExtensionSettings(Wire):
    """Part of an agent's settings that the contract does not have."""

    time_zone: TimeZone | None = None
    """Of {{current_time}}; nothing: that of the machine."""
    stt: Ears | None = None
    """What listens; nothing: the best that is here."""
    llm_options: OwnOptions | None = None
    """Of the engine's provider, as `GET /v1/providers` has them."""
    voice_options: OwnOptions | None = None
    """Of the voice's provider."""
    languages: f.Languages | None = None
    """That a caller may switch to in mid-call."""
    key_terms: f.Words | None = None
    noise_suppression: bool = False
    voice_volume: Annotated[float, Field(ge=0, le=2)] = 1.0
    pronunciations: Annotated[list[Pronunciation], Field(max_length=500)] | None = None
    background_volume: f.Unit = 0.3
    begin_message_delay_ms: Annotated[int, Field(ge=0, le=10_000)] = 0
    begin_message_uninterruptible: bool = False
    caller_speaks_first: bool = False
    turn_detection: Literal["words", "vad", "stt", "model"] = "words"
    endpointing: Literal["fixed", "dynamic"] = "fixed"
    min_interruption_words: Annotated[int, Field(ge=0, le=20)] = 0
    ivr_navigation: IvrNavigation | None = None
    """Nothing: whatever answers is talked to."""
    failover: Failover | None = None
    fallback: Fallback | None = None
    limits: Limits | None = None
    record_after_transfer: bool = False
    """With `enable_recording`: also two who were put through to each other. The law may want them told."""
    transcribe_after_transfer: bool = False
    """What they say is in the transcript. The law may want them told of that, too."""
    retention_days: RetentionDays | None = None
    """Recordings and transcripts older than this are deleted; nothing: kept until somebody deletes them."""


class ExtensionUpdate(Wire):
    """What to change of them."""

    time_zone: TimeZone | None = None
    stt: Ears | None = None
    llm_options: OwnOptions | None = None
    voice_options: OwnOptions | None = None
    languages: f.Languages | None = None
    key_terms: f.Words | None = None
    noise_suppression: bool | None = None
    voice_volume: Annotated[float, Field(ge=0, le=2)] | None = None
    pronunciations: Annotated[list[Pronunciation], Field(max_length=500)] | None = None
    background_volume: f.Unit | None = None
    begin_message_delay_ms: Annotated[int, Field(ge=0, le=10_000)] | None = None
    begin_message_uninterruptible: bool | None = None
    caller_speaks_first: bool | None = None
    turn_detection: Literal["words", "vad", "stt", "model"] | None = None
    endpointing: Literal["fixed", "dynamic"] | None = None
    min_interruption_words: Annotated[int, Field(ge=0, le=20)] | None = None
    ivr_navigation: IvrNavigation | None = None
    failover: Failover | None = None
    fallback: Fallback | None = None
    limits: Limits | None = None
    record_after_transfer: bool | None = None
    transcribe_after_transfer: bool | None = None
    retention_days: RetentionDays | None = None
