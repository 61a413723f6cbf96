"""From what an owner asked for to what a call is told."""

from typing import Any

from api.agents import service
from api.agents.schemas import AgentCreate
from api.agents.table import AgentRow

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
