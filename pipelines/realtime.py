"""Speech to speech: one model that hears, thinks and speaks (OpenAI Realtime, by LiveKit's plugin).

It takes turns itself, from the meaning of what it hears. Words that must be said as they are written
(a greeting, an apology) are spoken by the agent's ordinary voice.
"""

from typing import Literal

import aiohttp
from livekit.agents import TurnHandlingOptions, llm
from livekit.agents.types import NOT_GIVEN
from openai.types import realtime

from pipelines.agent_config import AgentConfig
from pipelines.providers import ProviderSettings, language_code
from pipelines.turn_taking import VAD_SILENCE_SECONDS, TurnTaking, interruption_seconds
from pipelines.voices import DEFAULT_REALTIME_VOICE, REALTIME_VOICES

DEFAULT_MODEL = "gpt-realtime"
SLOWEST, FASTEST = 0.25, 1.5


def build(
    settings: ProviderSettings,
    agent: AgentConfig,
    key_terms: tuple[str, ...],
    http: aiohttp.ClientSession | None,
) -> llm.RealtimeModel:
    """The model that the agent names, else `gpt-realtime`."""
    from livekit.plugins import openai  # noqa: PLC0415 - only where it is used

    voice = agent.voice_id.removeprefix("openai-").removeprefix("realtime-")
    wanted = agent.engine.model
    return openai.realtime.RealtimeModel(
        model=wanted if wanted.startswith(DEFAULT_MODEL) else DEFAULT_MODEL,
        voice=voice if voice in REALTIME_VOICES else DEFAULT_REALTIME_VOICE,
        speed=NOT_GIVEN if agent.voice_speed == 1.0 else min(FASTEST, max(SLOWEST, agent.voice_speed)),
        input_audio_transcription=realtime.AudioTranscription(
            model="gpt-4o-mini-transcribe",
            language=language_code(agent.language),
            prompt=", ".join(key_terms) or None,
        ),
        turn_detection=realtime.realtime_audio_input_turn_detection.SemanticVad(
            type="semantic_vad",
            create_response=True,
            interrupt_response=True,
            eagerness=_eagerness(agent.responsiveness),
        ),
        api_key=settings.openai_api_key,
        base_url=settings.openai_base_url or NOT_GIVEN,
        http_session=http,
    )


def turn_taking(agent: AgentConfig) -> TurnTaking:
    """The model's own turns; interruptions are its own as well."""
    return TurnTaking(
        handling=TurnHandlingOptions(
            turn_detection="realtime_llm",
            interruption={
                "enabled": True,
                "mode": "vad",
                "min_duration": interruption_seconds(agent.interruption_sensitivity),
            },
        ),
        vad_silence_seconds=VAD_SILENCE_SECONDS,
        words=None,
        backchannels=None,
    )


def _eagerness(responsiveness: float) -> Literal["low", "medium", "high"]:
    if responsiveness < 1 / 3:
        return "low"
    return "medium" if responsiveness < 2 / 3 else "high"
