"""Build what hears words with a key; what hears on this machine is in `pipelines.local`."""

from typing import Any

import aiohttp
from livekit.agents import stt

from pipelines.providers import ProviderSettings


def deepgram(
    settings: ProviderSettings, language: str, http: aiohttp.ClientSession | None = None
) -> stt.STT[Any]:
    """Deepgram's streaming recogniser, or a server that speaks its protocol.

    `http` is needed only outside a LiveKit job, which has a session of its own.
    """
    from livekit.plugins import deepgram as plugin  # noqa: PLC0415 - only where it is used

    base_url = settings.deepgram_base_url.rstrip("/") or "https://api.deepgram.com"
    return plugin.STT(
        model="nova-3",
        language=language,
        api_key=settings.deepgram_api_key,
        http_session=http,
        base_url=base_url if base_url.endswith("/v1/listen") else f"{base_url}/v1/listen",
    )
