"""Google's Gemini, with an API key. Needs the extra `google`."""

from typing import Any

from google.genai import Client, types
from google.genai._api_client import BaseApiClient
from livekit.agents import llm
from livekit.agents.types import NOT_GIVEN
from livekit.plugins import google
from livekit.plugins.google import llm as plugin

from pipelines.llm import Thinking


def _trusting() -> types.HttpOptions:
    """Whom Google's own client trusts, by each of the two ways in which it may ask."""
    httpx = BaseApiClient._ensure_httpx_ssl_ctx(types.HttpOptions())[0]["verify"]
    aiohttp = BaseApiClient._ensure_aiohttp_ssl_ctx(types.HttpOptions())["ssl"]
    return types.HttpOptions(
        client_args={"verify": httpx}, async_client_args={"verify": httpx, "ssl": aiohttp}
    )


_TRUSTING = _trusting()
"""Read when this is loaded, which is before a call: it would be read three times in each."""


def _client(**asked: Any) -> Client:
    return Client(**asked, http_options=_TRUSTING)


plugin.Client = _client  # type: ignore[attr-defined,assignment]  # it takes none of ours


class Gemini(google.LLM):
    """The plugin's, which opens its first connection to Google wherever the model is."""

    async def _prewarm_impl(self) -> None:
        http_options = self._opts.http_options or None
        asked = types.ListModelsConfig(page_size=1, http_options=http_options)
        await self._client.aio.models.list(config=asked)


def build(wanted: Thinking) -> llm.LLM[Any]:
    """It does not think before it speaks: nobody waits for that on a telephone."""
    base_url = wanted.settings.base_urls.get("google")
    thinks_by_itself = wanted.model.startswith("gemini-2.5-flash")
    return Gemini(
        model=wanted.model,
        api_key=wanted.settings.google_api_key,
        vertexai=False,
        temperature=wanted.temperature,
        max_output_tokens=wanted.max_tokens,
        thinking_config=types.ThinkingConfig(thinking_budget=0) if thinks_by_itself else NOT_GIVEN,
        http_options=types.HttpOptions(base_url=base_url, api_version="v1beta") if base_url else NOT_GIVEN,
    )
