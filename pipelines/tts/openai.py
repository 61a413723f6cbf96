"""OpenAI's speech, or a server that speaks its protocol; 24 kHz PCM, no decoder in between."""

from typing import Any

from livekit.agents import tts
from livekit.agents.types import NOT_GIVEN
from livekit.plugins import openai

from pipelines.tts import Speaking
from pipelines.voices import DEFAULT_OPENAI_VOICE


def build(wanted: Speaking) -> tts.TTS[Any]:
    """gpt-4o-mini-tts, a sentence at a time."""
    return openai.TTS(
        model="gpt-4o-mini-tts",
        voice=wanted.voice or DEFAULT_OPENAI_VOICE,
        speed=wanted.speed,
        instructions=wanted.options.instructions or NOT_GIVEN,
        api_key=wanted.settings.openai_api_key or "none",
        base_url=wanted.settings.openai_base_url or NOT_GIVEN,
        response_format="pcm",
    )
