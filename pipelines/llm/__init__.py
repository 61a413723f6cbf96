"""Build what thinks with a key: one module for each provider, imported when it is asked for.

The engine of this machine is in `pipelines.local.scripted`.
"""

import importlib
from dataclasses import dataclass
from typing import Any, cast

from livekit.agents import llm

from pipelines.providers import ProviderSettings

CHUNK_TIMEOUT_SECONDS = 30.0
"""Between two chunks. The plugin's own 5 s is too short for a model that this machine is loading."""

DEFAULT_MODELS = {
    "openai": "gpt-4.1-mini",
    "openrouter": "openrouter/auto",
    "anthropic": "claude-haiku-4-5",
    "gemini": "gemini-2.5-flash",
}
DEFAULT_MODEL = DEFAULT_MODELS["openai"]


@dataclass(frozen=True)
class Thinking:
    """What one language model is to be. `options` are of the provider's own type in `pipelines.options`."""

    settings: ProviderSettings
    model: str
    temperature: float
    max_tokens: int
    options: Any


def build(provider: str, wanted: Thinking) -> llm.LLM[Any]:
    """The provider's language model. Raises `ImportError` where its extra is not installed."""
    module = importlib.import_module(f"pipelines.llm.{provider}")
    return cast("llm.LLM[Any]", module.build(wanted))
