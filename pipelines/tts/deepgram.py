"""Deepgram's Aura voices, streaming: words go as they come, nothing waits for a whole sentence."""

from typing import Any

from livekit.agents import tts
from livekit.plugins import deepgram

from pipelines.tts import Speaking
from pipelines.voices import aura_voice

SLOWEST, FASTEST = 0.7, 1.5


def build(wanted: Speaking) -> tts.TTS[Any]:
    """`wanted.voice` is Deepgram's model (`aura-2-thalia-en`), or its short name (`thalia`)."""
    base = wanted.settings.deepgram_base_url.rstrip("/") or "https://api.deepgram.com"
    return deepgram.TTS(
        model=aura_voice(wanted.voice, wanted.language),
        # Left out where nobody asked: it is not for every voice.
        speed=None if wanted.speed == 1.0 else min(FASTEST, max(SLOWEST, wanted.speed)),
        api_key=wanted.settings.deepgram_api_key,
        base_url=f"{base.removesuffix('/v1/listen')}/v1/speak",
        http_session=wanted.http,
    )
