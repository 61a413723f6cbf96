"""Tools of MCP servers, over HTTP and through the guarded connector. Needs the extra `mcp`."""

import asyncio
import logging
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from pipelines.agent_config import McpServer
from pipelines.function_config import RunsLike
from pipelines.outbound import Guard, NoAnswer, Refused

if TYPE_CHECKING:
    from livekit.agents.llm import RawFunctionTool

logger = logging.getLogger(__name__)

MAX_TOOLS = 64


class McpUnavailable(Exception):
    """The tools of an MCP server are not there"""


class McpTools:
    """The connections of one call to its MCP servers. Close it at the end."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._open: list[Any] = []

    async def of(self, server: McpServer) -> "Sequence[RawFunctionTool[..., Any]]":
        """Connect, and list the allowed tools. Raises `McpUnavailable` with a sentence."""
        if find_spec("mcp") is None:
            raise McpUnavailable("MCP servers need the extra: pip install 'call2me-runtime[mcp]'.")
        from pipelines.tools.mcp_client import GuardedServer  # noqa: PLC0415 - the extra may be absent

        client = GuardedServer(server, self._guard)
        seconds = server.timeout_ms / 1000
        try:
            if not server.url.lower().startswith("https://") and not self._guard.is_named(server.url):
                raise Refused("The address must begin with https://.")
            async with asyncio.timeout(seconds):
                self._open.append(client)
                await client.initialize()
                return (await client.list_tools())[:MAX_TOOLS]
        except TimeoutError:
            raise McpUnavailable(f"The MCP server {server.name} did not answer in time.") from None
        except NoAnswer as error:
            raise McpUnavailable(f"The MCP server {server.name}: {error}") from None
        except Exception as error:  # noqa: BLE001 - a stranger's server; the call goes on without it
            logger.info("an MCP server did not answer", extra={"error": type(error).__name__})
            raise McpUnavailable(f"The MCP server {server.name} did not answer as one.") from None

    async def aclose(self) -> None:
        """Let go of all servers."""
        await asyncio.gather(*(client.aclose() for client in self._open), return_exceptions=True)


def how_of(server: McpServer) -> RunsLike:
    """Tools of others may change something: each runs once for the same arguments in a turn."""
    return RunsLike(timeout_ms=server.timeout_ms)
