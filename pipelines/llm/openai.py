"""OpenAI, or any server that speaks chat completions (Ollama, vLLM, llama.cpp)."""

from typing import Any

import openai
from livekit.agents import llm
from livekit.agents.types import NOT_GIVEN
from livekit.plugins import openai as plugin

from pipelines import connections
from pipelines.llm import CHUNK_TIMEOUT_SECONDS, Thinking

SPOKEN_TIMEOUT = openai.Timeout(connect=15.0, read=5.0, write=5.0, pool=5.0)
"""The plugin's own, for what is heard and what is spoken."""
_TAKES_NO_TEMPERATURE = ("gpt-5", "o1", "o3", "o4")


class Completions(plugin.LLM):
    """The plugin's, which closes no client that it was given."""

    async def aclose(self) -> None:
        """Close the connections too, as far as they are this call's own."""
        await super().aclose()
        await self._client.close()


def sdk(key: str, base_url: str, timeout: openai.Timeout) -> openai.AsyncClient:
    """A client of OpenAI's protocol over the connections of this process. Whoever asks for it closes it."""
    # Servers that want no key still want the header that carries one.
    key = key or "none"
    http = connections.client(base_url, key, timeout)
    return openai.AsyncClient(api_key=key, base_url=base_url or None, max_retries=0, http_client=http)


def build(wanted: Thinking) -> llm.LLM[Any]:
    """The model at `OPENAI_BASE_URL`, else OpenAI's own."""
    settings = wanted.settings
    # Many compatible servers answer 400 to strict schemas.
    return compatible(wanted, settings.openai_api_key, settings.openai_base_url, settings.is_openai_itself)


def compatible(wanted: Thinking, key: str, base_url: str, is_strict: bool) -> llm.LLM[Any]:
    """A model behind any server that speaks chat completions."""
    options = wanted.options
    return Completions(
        model=wanted.model,
        client=sdk(key, base_url, openai.Timeout(CHUNK_TIMEOUT_SECONDS, connect=5.0)),
        temperature=NOT_GIVEN if wanted.model.startswith(_TAKES_NO_TEMPERATURE) else wanted.temperature,
        max_completion_tokens=wanted.max_tokens,
        # True is every server's own default; some refuse to be told of it without tools.
        parallel_tool_calls=NOT_GIVEN if options.parallel_tool_calls else False,
        reasoning_effort=options.reasoning_effort or NOT_GIVEN,
        service_tier=options.service_tier or NOT_GIVEN,
        _strict_tool_schema=is_strict,
    )
