"""Anthropic's Claude. Needs the extra `anthropic`."""

from typing import Any

import anthropic as anthropic_sdk
from livekit.agents import llm
from livekit.agents.types import NOT_GIVEN
from livekit.plugins import anthropic

from pipelines.llm import CHUNK_TIMEOUT_SECONDS, Thinking


class Claude(anthropic.LLM):
    """The plugin's, which leaves its connections open."""

    async def aclose(self) -> None:
        """Close the connections too."""
        await super().aclose()
        await self._client.close()


def build(wanted: Thinking) -> llm.LLM[Any]:
    """Instructions and tools are cached there: they are the same in each turn."""
    return Claude(
        model=wanted.model,
        api_key=wanted.settings.anthropic_api_key,
        base_url=wanted.settings.base_urls.get("anthropic") or NOT_GIVEN,
        max_tokens=wanted.max_tokens,
        temperature=min(1.0, wanted.temperature),  # its own scale ends there
        caching="ephemeral",
        timeout=anthropic_sdk.Timeout(CHUNK_TIMEOUT_SECONDS, connect=5.0),
        max_retries=0,
        _strict_tool_schema=False,
    )
