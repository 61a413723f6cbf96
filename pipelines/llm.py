"""Build what thinks: an OpenAI-compatible server, or the scripted engine of this machine."""

from typing import Any

from livekit.agents import llm
from livekit.agents.types import NOT_GIVEN

from pipelines.providers import ProviderSettings

DEFAULT_MODEL = "gpt-4.1-mini"
CHUNK_TIMEOUT_SECONDS = 30.0
"""Between two chunks. The plugin's own 5 s is too short for a model that this machine is loading."""

_TAKES_NO_TEMPERATURE = ("gpt-5", "o1", "o3", "o4")


def openai_compatible(
    settings: ProviderSettings, model: str, temperature: float, max_tokens: int
) -> llm.LLM[Any]:
    """OpenAI, or any server that speaks chat completions (Ollama, vLLM, llama.cpp)."""
    import openai  # noqa: PLC0415 - half a second that a call without a key need not pay
    from livekit.plugins import openai as plugin  # noqa: PLC0415

    return plugin.LLM(
        model=model,
        # Servers that want no key still want the header that carries one.
        api_key=settings.openai_api_key or "none",
        base_url=settings.openai_base_url or NOT_GIVEN,
        temperature=NOT_GIVEN if model.startswith(_TAKES_NO_TEMPERATURE) else temperature,
        max_completion_tokens=max_tokens,
        timeout=openai.Timeout(CHUNK_TIMEOUT_SECONDS, connect=5.0),
        # Many compatible servers answer 400 to strict schemas.
        _strict_tool_schema=settings.is_openai_itself,
    )
