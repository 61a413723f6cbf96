"""What one agent is, frozen as it was when its call began."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Unit = Annotated[float, Field(ge=0, le=1)]


class EngineConfig(BaseModel):
    """Which model thinks, and what it was told. `provider` and `model` are as asked, not as available."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    instructions: str = ""
    provider: str = "openrouter"
    model: str = "openrouter/auto"
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.7
    max_tokens: Annotated[int, Field(ge=1, le=4096)] = 500
    functions: tuple[dict[str, Any], ...] = ()
    """As stored on the agent: `{"type": "python", "name": ...}` names a developer's function."""


class AgentConfig(BaseModel):
    """One agent, as everything below the api sees it.

    Durations are milliseconds, `language` is a BCP-47 tag, `voice_id` is "provider-name".
    An empty `begin_message` lets the engine greet in its own words.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    agent_id: str
    name: str
    language: str = "en-US"
    voice_id: str = ""
    voice_speed: Annotated[float, Field(ge=0.5, le=2.0)] = 1.0
    engine: EngineConfig = EngineConfig()
    begin_message: str = ""
    begin_message_mode: Literal["static", "dynamic"] = "dynamic"
    responsiveness: Unit = 0.5
    interruption_sensitivity: Unit = 0.5
    end_call_after_silence_ms: Annotated[int, Field(ge=10_000, le=120_000)] = 30_000
    max_call_duration_ms: Annotated[int, Field(ge=60_000, le=7_200_000)] = 3_600_000
    enable_recording: bool = False
    kb_chunks_count: Annotated[int, Field(ge=1, le=10)] = 3
    kb_similarity_threshold: Unit = 0.6
