"""Cartesia's Ink, streaming. Needs the extra `cartesia`."""

from typing import Any

from livekit.agents import stt
from livekit.plugins import cartesia

from pipelines.providers import language_code
from pipelines.stt import Listening


def build(wanted: Listening) -> stt.STT[Any]:
    """Of `wanted.model`, ink-whisper where it names none."""
    return cartesia.STT(
        model=wanted.model or "ink-whisper",
        language=language_code(wanted.language),
        api_key=wanted.settings.cartesia_api_key,
        http_session=wanted.http,
        base_url=wanted.settings.base_urls.get("cartesia") or "https://api.cartesia.ai",
    )
