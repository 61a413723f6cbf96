"""OpenAI's speech, or a server that speaks its protocol; 24 kHz PCM, no decoder in between."""

from typing import Any

from livekit.agents import tts
from livekit.agents.types import NOT_GIVEN
from livekit.plugins import openai

from pipelines.llm.openai import SPOKEN_TIMEOUT, sdk
from pipelines.tts import Speaking
from pipelines.voices import DEFAULT_OPENAI_VOICE


class Speech(openai.TTS):
    """The plugin's, which closes no client that it was given."""

    async def aclose(self) -> None:
        """Close the connections too, as far as they are this call's own."""
        await super().aclose()
        await self._client.close()


def build(wanted: Speaking) -> tts.TTS[Any]:
    """gpt-4o-mini-tts, a sentence at a time."""
    return Speech(
        model="gpt-4o-mini-tts",
        voice=wanted.voice or DEFAULT_OPENAI_VOICE,
        speed=wanted.speed,
        instructions=wanted.options.instructions or NOT_GIVEN,
        client=sdk(wanted.settings.openai_api_key, wanted.settings.openai_base_url, SPOKEN_TIMEOUT),
        response_format="pcm",
    )
