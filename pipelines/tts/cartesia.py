"""Cartesia's Sonic voices, streaming. Needs the extra `cartesia`."""

from typing import Any

from livekit.agents import tts
from livekit.plugins import cartesia

from pipelines.providers import language_code
from pipelines.tts import Speaking

SLOWEST, FASTEST = 0.6, 1.5


def build(wanted: Speaking) -> tts.TTS[Any]:
    """`wanted.voice` is the id that Cartesia shows for a voice."""
    asked: dict[str, Any] = {"voice": wanted.voice} if wanted.voice else {}
    return cartesia.TTS(
        model=wanted.options.model,
        language=language_code(wanted.language),
        speed=None if wanted.speed == 1.0 else min(FASTEST, max(SLOWEST, wanted.speed)),
        emotion=wanted.options.emotion,
        api_key=wanted.settings.cartesia_api_key,
        http_session=wanted.http,
        base_url=wanted.settings.base_urls.get("cartesia") or "https://api.cartesia.ai",
        **asked,
    )
