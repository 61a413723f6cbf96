"""Anthropic's Claude. Needs the extra `anthropic`."""

from typing import Any

import anthropic as anthropic_sdk
from livekit.agents import llm
from livekit.plugins import anthropic

from pipelines import connections
from pipelines.llm import CHUNK_TIMEOUT_SECONDS, Thinking


class Claude(anthropic.LLM):
    """The plugin's, which leaves its connections open."""

    async def aclose(self) -> None:
        """Close the connections too, as far as they are this call's own."""
        await super().aclose()
        await self._client.close()


def build(wanted: Thinking) -> llm.LLM[Any]:
    """Instructions and tools are cached there: they are the same in each turn."""
    key, base_url = wanted.settings.anthropic_api_key, wanted.settings.base_urls.get("anthropic", "")
    http = connections.client(base_url, key, anthropic_sdk.Timeout(CHUNK_TIMEOUT_SECONDS, connect=5.0))
    return Claude(
        model=wanted.model,
        api_key=key,
        client=anthropic_sdk.AsyncClient(
            api_key=key, base_url=base_url or None, max_retries=0, http_client=http
        ),
        max_tokens=wanted.max_tokens,
        temperature=min(1.0, wanted.temperature),  # its own scale ends there
        caching="ephemeral",
        _strict_tool_schema=False,
    )
