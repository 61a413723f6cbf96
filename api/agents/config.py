"""From what an owner asked for to what a call is told."""

from typing import Any

from api.agents import secrets
from api.agents.fields import BuiltinEngine
from api.agents.schemas import AgentSettings
from api.agents.table import AgentRow
from pipelines.agent_config import AgentConfig


def settings_of(row: AgentRow) -> AgentSettings:
    """What the owner decided, as a model; fields added since it was stored have their defaults."""
    return AgentSettings.model_validate(row.config)


def targets_of(asked: AgentSettings) -> set[str]:
    """Ids of the agents that this one may hand a call to."""
    return {target.value for target in asked.transfer_targets or () if target.type == "agent"}


def to_config(row: AgentRow) -> AgentConfig:
    """What a call needs to know of an agent, as it is at this moment.

    What was not decided is left out here, so that the defaults stand in one place.
    """
    asked = settings_of(row)
    failover = asked.failover
    return AgentConfig.model_validate(
        {
            # What has one name on both sides comes along by itself.
            **asked.model_dump(include=set(AgentConfig.model_fields) - {"transfer_targets"}),
            "agent_id": row.id,
            "name": asked.agent_name,
            "engine": secrets.reveal(_engine(asked), row.secrets),
            "hearing": {
                **(asked.stt.model_dump() if asked.stt else {}),
                "fallbacks": failover.model_dump()["stt"] if failover else (),
                "languages": asked.languages,
                "key_terms": asked.key_terms,
                "noise_suppression": asked.noise_suppression,
            },
            "voice": {
                "options": asked.voice_options,
                "volume": asked.voice_volume,
                "pronunciations": [one.model_dump() for one in asked.pronunciations or ()],
                "background_sound": asked.background_sound,
                "background_volume": asked.background_volume,
                "fallbacks": failover.model_dump()["tts"] if failover else (),
            },
            "opening": {
                "delay_ms": asked.begin_message_delay_ms,
                "caller_first": asked.caller_speaks_first,
                "uninterruptible": asked.begin_message_uninterruptible,
            },
            "goodbye": {
                "mode": asked.end_call_mode,
                "message": asked.end_call_message,
                "prompt": asked.end_call_prompt,
            },
            "reminders": {
                "frequency_ms": asked.reminder_message_frequency_ms,
                "max_count": asked.reminder_max_count,
            },
            "voicemail": {
                "detection": asked.voicemail_detection_enabled,
                "timeout_ms": asked.voicemail_detection_timeout_ms,
                "action": asked.voicemail_action,
                "message": asked.voicemail_message,
            },
            "turns": {
                "detection": asked.turn_detection,
                "endpointing": asked.endpointing,
                "min_interruption_words": asked.min_interruption_words,
                "backchannel": asked.enable_backchannel,
                "backchannel_frequency": asked.backchannel_frequency,
                "backchannel_words": asked.backchannel_words,
            },
            "transfer_targets": [
                {"kind": target.type, **target.model_dump(exclude={"type"})}
                for target in asked.transfer_targets or ()
            ],
        }
    )


def _engine(asked: AgentSettings) -> dict[str, Any]:
    engine = asked.response_engine
    fallbacks = asked.failover.model_dump()["llm"] if asked.failover else ()
    if not isinstance(engine, BuiltinEngine):
        return {
            "provider": engine.type,
            "model": "",
            "websocket_url": engine.llm_websocket_url,
            "fallbacks": fallbacks,
        }
    return {
        "instructions": engine.system_prompt,
        "provider": engine.llm_provider,
        "model": engine.llm_model,
        "kind": engine.engine,
        "options": asked.llm_options,
        "temperature": engine.temperature,
        "max_tokens": engine.max_tokens,
        "functions": engine.functions,
        "builtin_functions": engine.builtin_functions,
        "mcp_servers": [server.model_dump() for server in engine.mcp_servers or ()],
        "fallbacks": fallbacks,
    }
