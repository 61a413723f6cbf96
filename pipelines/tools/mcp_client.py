"""LiveKit's MCP client with our connector under it: only what is public is reached, and bodies end."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import httpx2
from livekit.agents.llm.mcp import MCPServerHTTP

from pipelines.agent_config import McpServer
from pipelines.outbound import Guard

MAX_BYTES = 4 * 1024 * 1024
"""Of one answer."""
MAX_STREAM_BYTES = 64 * 1024 * 1024
"""Of a stream of events, which may last as long as the call."""


class GuardedServer(MCPServerHTTP):
    """One server, spoken to in MCP's streamable HTTP (or SSE where its address ends so)."""

    def __init__(self, server: McpServer, guard: Guard) -> None:
        seconds = server.timeout_ms / 1000
        super().__init__(
            server.url,
            transport_type="sse" if server.url.rstrip("/").endswith("/sse") else "streamable_http",
            allowed_tools=list(server.allowed_tools) or None,
            headers=dict(server.headers),
            timeout=seconds,
            client_session_timeout_seconds=seconds,
        )
        self._guard = guard

    def _create_http_client(
        self,
        headers: dict[str, Any] | None = None,
        timeout: httpx2.Timeout | None = None,
        auth: httpx2.Auth | None = None,
    ) -> httpx2.AsyncClient:
        self._http_client = httpx2.AsyncClient(
            transport=_Guarded(self._guard.session()),
            headers=headers if headers is not None else self._headers,
            timeout=timeout if timeout is not None else httpx2.Timeout(self._timeout, read=None),
            auth=auth,
        )
        return self._http_client


class _Guarded(httpx2.AsyncBaseTransport):
    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        try:
            response = await self._session.request(
                request.method,
                str(request.url),
                headers=[(name, value) for name, value in request.headers.items() if name != "host"],
                data=await request.aread(),
                allow_redirects=False,
                auto_decompress=False,
            )
        except aiohttp.ClientError as error:
            raise httpx2.ConnectError(str(error), request=request) from error
        return httpx2.Response(
            response.status, headers=list(response.headers.items()), stream=_Body(response), request=request
        )

    async def aclose(self) -> None:
        await self._session.close()


class _Body(httpx2.AsyncByteStream):
    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        is_stream = response.content_type == "text/event-stream"
        self._most = MAX_STREAM_BYTES if is_stream else MAX_BYTES

    async def __aiter__(self) -> AsyncIterator[bytes]:
        length = 0
        try:
            async for chunk in self._response.content.iter_any():
                length += len(chunk)
                if length > self._most:
                    raise httpx2.ReadError("the answer is too long")
                yield chunk
        except aiohttp.ClientError as error:
            raise httpx2.ReadError(str(error)) from error

    async def aclose(self) -> None:
        self._response.close()
