"""ElevenLabs' voices, streaming. Needs the extra `elevenlabs`."""

from typing import Any

from livekit.agents import tts
from livekit.agents.types import NOT_GIVEN
from livekit.plugins import elevenlabs

from pipelines.providers import language_code
from pipelines.tts import Speaking

SLOWEST, FASTEST = 0.8, 1.2
STABILITY, SIMILARITY = 0.5, 0.75
"""What ElevenLabs itself begins with."""


def build(wanted: Speaking) -> tts.TTS[Any]:
    """`wanted.voice` is the id that ElevenLabs shows for a voice."""
    options = wanted.options
    is_as_it_comes = wanted.speed == 1.0 and options.stability is None and options.similarity_boost is None
    settings = elevenlabs.VoiceSettings(
        stability=STABILITY if options.stability is None else options.stability,
        similarity_boost=SIMILARITY if options.similarity_boost is None else options.similarity_boost,
        style=NOT_GIVEN if options.style is None else options.style,
        speed=min(FASTEST, max(SLOWEST, wanted.speed)),
    )
    return elevenlabs.TTS(
        voice_id=wanted.voice or elevenlabs.DEFAULT_VOICE_ID,
        voice_settings=NOT_GIVEN if is_as_it_comes else settings,
        model=options.model,
        encoding="pcm_24000",
        language=language_code(wanted.language),
        api_key=wanted.settings.elevenlabs_api_key,
        base_url=wanted.settings.base_urls.get("elevenlabs") or NOT_GIVEN,
        http_session=wanted.http,
    )
