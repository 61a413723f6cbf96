"""ElevenLabs' Scribe, streaming. Needs the extra `elevenlabs`."""

from typing import Any

from livekit.agents import stt
from livekit.agents.types import NOT_GIVEN
from livekit.plugins import elevenlabs

from pipelines.providers import language_code
from pipelines.stt import Listening


def build(wanted: Listening) -> stt.STT[Any]:
    """Of `wanted.model`, scribe_v2_realtime where it names none."""
    return elevenlabs.STT(
        model=wanted.model or "scribe_v2_realtime",
        language_code=language_code(wanted.language),
        api_key=wanted.settings.elevenlabs_api_key,
        base_url=wanted.settings.base_urls.get("elevenlabs") or NOT_GIVEN,
        server_vad={"vad_silence_threshold_secs": 0.3, "min_silence_duration_ms": 100},
        keyterms=list(wanted.key_terms[:100]) or NOT_GIVEN,
        http_session=wanted.http,
    )
