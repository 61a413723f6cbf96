"""What may be set of one provider besides its model: checked where an agent is saved and where it is built.

Loads no livekit: the api shows these as JSON Schema.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

Unit = Annotated[float, Field(ge=0, le=1)]
Kind = Literal["stt", "llm", "tts"]


class BadOptions(ValueError):
    """An option that the provider does not have, or a value that it would refuse"""


class Options(BaseModel):
    """No options at all; the others add theirs."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class NovaOptions(Options):
    """Deepgram's nova models."""

    smart_format: bool = False
    """Numbers, dates and addresses as one would write them."""
    numerals: bool = False
    profanity_filter: bool = False
    filler_words: bool = True
    endpointing_ms: Annotated[int, Field(ge=10, le=5000)] = 25


class FluxOptions(Options):
    """Deepgram's flux models, which decide themselves when a turn is over."""

    eot_threshold: Annotated[float, Field(ge=0.5, le=0.9)] = 0.7
    """How sure it must be that the turn is over."""
    eager_eot_threshold: Annotated[float, Field(ge=0.3, le=0.9)] | None = None
    """From here on an answer is prepared, and thrown away when the person goes on."""
    eot_timeout_ms: Annotated[int, Field(ge=500, le=10_000)] = 3000


class TranscriptionOptions(Options):
    """OpenAI's transcription, and whatever speaks like it."""

    prompt: Annotated[str, Field(max_length=1000)] = ""


class ChatOptions(Options):
    """Chat completions."""

    parallel_tool_calls: bool = True
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high"] | None = None
    service_tier: Literal["auto", "default", "flex", "priority"] | None = None


class OpenAIVoiceOptions(Options):
    """OpenAI's speech."""

    instructions: Annotated[str, Field(max_length=1000)] = ""
    """How to speak: "calm and friendly"."""


class ElevenLabsVoiceOptions(Options):
    """ElevenLabs' voices. Settings count only where both of the first two are given."""

    model: str = "eleven_turbo_v2_5"
    stability: Unit | None = None
    similarity_boost: Unit | None = None
    style: Unit | None = None


class CartesiaVoiceOptions(Options):
    """Cartesia's voices."""

    model: str = "sonic-3"
    emotion: Annotated[str, Field(max_length=50)] | None = None


_OPTIONS: dict[tuple[Kind, str], type[Options]] = {
    ("stt", "openai"): TranscriptionOptions,
    ("llm", "openai"): ChatOptions,
    ("llm", "openrouter"): ChatOptions,
    ("tts", "openai"): OpenAIVoiceOptions,
    ("tts", "elevenlabs"): ElevenLabsVoiceOptions,
    ("tts", "cartesia"): CartesiaVoiceOptions,
}


def is_flux(model: str) -> bool:
    """True for the models of Deepgram that end turns themselves."""
    return model.startswith("flux")


def of(kind: Kind, provider: str, model: str = "") -> type[Options]:
    """What may be set of this provider."""
    if (kind, provider) == ("stt", "deepgram"):
        return FluxOptions if is_flux(model) else NovaOptions
    return _OPTIONS.get((kind, provider), Options)


def read(kind: Kind, provider: str, model: str, given: dict[str, Any]) -> Any:
    """The options, checked. Raises `BadOptions` with the one that is wrong."""
    try:
        return of(kind, provider, model).model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BadOptions(f"{provider}: {where}: {first['msg']}") from error
