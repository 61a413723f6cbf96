"""Build what speaks: OpenAI's voices, or those of this machine."""

from typing import Any

from livekit.agents import tts
from livekit.agents.types import NOT_GIVEN

from pipelines.providers import ProviderSettings

OPENAI_VOICES = frozenset(
    {
        *("alloy", "ash", "ballad", "cedar", "coral", "echo", "fable"),
        *("marin", "nova", "onyx", "sage", "shimmer", "verse"),
    }
)
DEFAULT_OPENAI_VOICE = "nova"


def openai(settings: ProviderSettings, voice: str, speed: float) -> tts.TTS[Any]:
    """OpenAI's speech, or a server that speaks its protocol; 24 kHz PCM, no decoder in between."""
    from livekit.plugins import openai as plugin  # noqa: PLC0415 - only where it is used

    return plugin.TTS(
        model="gpt-4o-mini-tts",
        voice=voice,
        speed=speed,
        api_key=settings.openai_api_key or "none",
        base_url=settings.openai_base_url or NOT_GIVEN,
        response_format="pcm",
    )
