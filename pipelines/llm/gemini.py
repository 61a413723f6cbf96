"""Google's Gemini, with an API key. Needs the extra `google`."""

from typing import Any

from google.genai import types
from livekit.agents import llm
from livekit.agents.types import NOT_GIVEN
from livekit.plugins import google

from pipelines.llm import Thinking


def build(wanted: Thinking) -> llm.LLM[Any]:
    """It does not think before it speaks: nobody waits for that on a telephone."""
    base_url = wanted.settings.base_urls.get("google")
    thinks_by_itself = wanted.model.startswith("gemini-2.5-flash")
    return google.LLM(
        model=wanted.model,
        api_key=wanted.settings.google_api_key,
        vertexai=False,
        temperature=wanted.temperature,
        max_output_tokens=wanted.max_tokens,
        thinking_config=types.ThinkingConfig(thinking_budget=0) if thinks_by_itself else NOT_GIVEN,
        http_options=types.HttpOptions(base_url=base_url, api_version="v1beta") if base_url else NOT_GIVEN,
    )
