"""OpenRouter: chat completions, and hundreds of models behind one key."""

from typing import Any

from livekit.agents import llm

from pipelines.llm import Thinking
from pipelines.llm.openai import compatible


def build(wanted: Thinking) -> llm.LLM[Any]:
    """`openrouter/auto` lets it choose the model."""
    base_url = wanted.settings.base_urls.get("openrouter") or "https://openrouter.ai/api/v1"
    return compatible(wanted, wanted.settings.openrouter_api_key, base_url, is_strict=False)
