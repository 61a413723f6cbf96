"""From what an owner asked for to what a call is told."""

from typing import Any

from api.agents import service
from api.agents.schemas import AgentCreate
from api.agents.table import AgentRow
from api.calls.costs import load
from api.internal import service as internal
from pipelines.agent_config import AgentConfig
from pipelines.contract.brief import CallBrief

ENGINE = {
    "system_prompt": "Be kind.",
    "llm_provider": "openai",
    "llm_model": "m",
    "functions": [{"type": "python", "name": "book"}],
}


def _row(**fields: Any) -> AgentRow:
    wanted = AgentCreate.model_validate(
        {"agent_name": "A", "voice_id": "openai-nova", "response_engine": ENGINE, **fields}
    )
    return AgentRow(
        id="agent_0123456789ab", owner_id="user_1", name="A", config=wanted.model_dump(mode="json")
    )


def test_a_call_is_told_what_was_asked_for_not_what_is_available() -> None:
    config = service.to_config(
        _row(
            language="tr-TR",
            voice_speed=1.5,
            begin_message="Merhaba",
            begin_message_mode="static",
            enable_recording=True,
        )
    )
    assert (config.agent_id, config.name, config.language) == ("agent_0123456789ab", "A", "tr-TR")
    assert (config.voice_id, config.voice_speed) == ("openai-nova", 1.5)
    assert (config.begin_message, config.begin_message_mode) == ("Merhaba", "static")
    assert config.enable_recording
    assert (config.engine.provider, config.engine.model, config.engine.instructions) == (
        "openai",
        "m",
        "Be kind.",
    )
    assert config.engine.functions == ({"type": "python", "name": "book"},)


def test_all_that_may_be_said_of_an_agent_is_handed_down() -> None:
    # Each field once more, as the wire has it (left) and as a call is told it (right).
    handed: list[tuple[dict[str, Any], str, Any]] = [
        ({"time_zone": "Asia/Tokyo"}, "time_zone", "Asia/Tokyo"),
        ({"stt": {"provider": "deepgram", "model": "flux"}}, "hearing.provider", "deepgram"),
        ({"stt": {"provider": "deepgram", "model": "flux"}}, "hearing.model", "flux"),
        ({"languages": ["de-DE"]}, "hearing.languages", ("de-DE",)),
        ({"key_terms": ["Ortiz"]}, "hearing.key_terms", ("Ortiz",)),
        ({"noise_suppression": True}, "hearing.noise_suppression", True),
        ({"record_after_transfer": True}, "record_after_transfer", True),
        ({"transcribe_after_transfer": True}, "transcribe_after_transfer", True),
        ({"voice_volume": 0.5}, "voice.volume", 0.5),
        ({"background_sound": "office"}, "voice.background_sound", "office"),
        ({"background_volume": 0.1}, "voice.background_volume", 0.1),
        ({"begin_message_delay_ms": 7}, "opening.delay_ms", 7),
        ({"caller_speaks_first": True}, "opening.caller_first", True),
        ({"begin_message_uninterruptible": True}, "opening.uninterruptible", True),
        ({"end_call_mode": "dynamic"}, "goodbye.mode", "dynamic"),
        ({"end_call_message": "Bye."}, "goodbye.message", "Bye."),
        ({"end_call_prompt": "Part."}, "goodbye.prompt", "Part."),
        ({"reminder_message_frequency_ms": 5000}, "reminders.frequency_ms", 5000),
        ({"reminder_max_count": 0}, "reminders.max_count", 0),
        ({"voicemail_detection_enabled": True}, "voicemail.detection", True),
        ({"voicemail_detection_timeout_ms": 3000}, "voicemail.timeout_ms", 3000),
        ({"voicemail_action": "leave_message"}, "voicemail.action", "leave_message"),
        ({"ivr_navigation": {"goal": "the desk"}}, "ivr_navigation.goal", "the desk"),
        ({"ivr_navigation": {"goal": "the desk"}}, "ivr_navigation.max_menus", 8),
        ({"voicemail_message": "Call."}, "voicemail.message", "Call."),
        ({"enable_backchannel": False}, "turns.backchannel", False),
        ({"backchannel_frequency": 0.1}, "turns.backchannel_frequency", 0.1),
        ({"backchannel_words": ["aha"]}, "turns.backchannel_words", ("aha",)),
        ({"turn_detection": "model"}, "turns.detection", "model"),
        ({"endpointing": "dynamic"}, "turns.endpointing", "dynamic"),
        ({"min_interruption_words": 2}, "turns.min_interruption_words", 2),
        ({"limits": {"tokens": 9}}, "limits.tokens", 9),
        ({"limits": {"tokens": 9}}, "limits.cost_usd", None),
        ({"fallback": {"action": "callback"}}, "fallback.action", "callback"),
        ({"fallback": {"action": "callback"}}, "fallback.message", ""),
        ({"responsiveness": 0.9}, "responsiveness", 0.9),
        ({"max_call_duration_ms": 60_000}, "max_call_duration_ms", 60_000),
        ({"kb_similarity_threshold": 0.2}, "kb_similarity_threshold", 0.2),
        ({"response_engine": {**ENGINE, "engine": "realtime"}}, "engine.kind", "realtime"),
        (
            {"response_engine": {**ENGINE, "builtin_functions": ["end_call"]}},
            "engine.builtin_functions",
            ("end_call",),
        ),
    ]
    for asked, path, expected in handed:
        value: Any = service.to_config(_row(**asked))
        for name in path.split("."):
            value = getattr(value, name)
        assert value == expected, path


def test_chains_targets_and_words_are_handed_down_whole() -> None:
    config = service.to_config(
        _row(
            failover={"tts": [{"provider": "espeak"}], "llm": [{"provider": "openai", "model": "m"}]},
            transfer_targets=[{"name": "Ann", "type": "phone", "value": "+15550100"}],
            pronunciations=[{"word": "SQL", "say": "sequel", "language": None}],
            response_engine={**ENGINE, "mcp_servers": [{"name": "crm", "url": "https://a.example"}]},
        )
    )
    assert [one.provider for one in config.voice.fallbacks] == ["espeak"]
    assert [one.model for one in config.engine.fallbacks] == ["m"]
    assert [(one.name, one.kind, one.value) for one in config.transfer_targets] == [
        ("Ann", "phone", "+15550100")
    ]
    assert [(one.word, one.say, one.language) for one in config.voice.pronunciations] == [
        ("SQL", "sequel", "")
    ]
    assert [(one.name, one.url) for one in config.engine.mcp_servers] == [("crm", "https://a.example")]


def test_a_config_of_another_version_is_understood() -> None:
    config = AgentConfig.model_validate(
        {"agent_id": "a", "name": "A", "later": 1, "voice": {"volume": None, "later": 1}, "limits": None}
    )
    assert (config.voice.volume, config.limits.tool_calls_per_turn) == (1.0, 5)


def test_an_engine_of_ones_own_is_handed_down_by_its_name() -> None:
    engine = {"type": "custom-llm", "llm_websocket_url": "wss://example.com"}
    config = service.to_config(_row(response_engine=engine))
    assert (config.engine.provider, config.engine.instructions, config.begin_message) == (
        "custom-llm",
        "",
        "",
    )


def test_an_agent_stored_before_a_field_was_added_has_its_default() -> None:
    row = _row()
    row.config = {name: value for name, value in row.config.items() if name != "kb_chunks_count"}
    assert service.to_config(row).kb_chunks_count == 3


def test_a_worker_is_told_prices_where_an_agent_limits_what_a_call_costs() -> None:
    def told(**fields: Any) -> Any:
        brief = CallBrief(call_id="c", agent=service.to_config(_row(**fields)))
        return internal.priced(brief, load()).prices

    assert told() is None
    assert told(limits={"cost_usd": 0.5}) == load()
