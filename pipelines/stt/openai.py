"""OpenAI's transcription, or a server that speaks like it: a whole utterance at a time."""

from typing import Any

from livekit.agents import stt
from livekit.agents.types import NOT_GIVEN
from livekit.plugins import openai

from pipelines.llm.openai import SPOKEN_TIMEOUT, sdk
from pipelines.providers import language_code
from pipelines.stt import Listening


class Transcriptions(openai.STT):
    """The plugin's, which leaves its connections open."""

    async def aclose(self) -> None:
        """Close the connections too, as far as they are this call's own."""
        await super().aclose()
        await self._client.close()


def build(wanted: Listening) -> stt.STT[Any]:
    """Of `wanted.model`, gpt-4o-mini-transcribe where it names none."""
    words = ", ".join(wanted.key_terms[:100])
    prompt = " ".join(part for part in (wanted.options.prompt, words) if part)
    return Transcriptions(
        model=wanted.model or "gpt-4o-mini-transcribe",
        language=language_code(wanted.language),
        prompt=prompt or NOT_GIVEN,
        client=sdk(wanted.settings.openai_api_key, wanted.settings.openai_base_url, SPOKEN_TIMEOUT),
        # An utterance that this machine cut out; no second detector at the other end.
        use_realtime=False,
        vad=None,
    )
