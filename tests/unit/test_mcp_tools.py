"""Tools of MCP servers: a real server of the official kit, reached through the guard."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from pipelines.agent_config import AgentConfig, EngineConfig, McpServer
from pipelines.outbound import Guard
from pipelines.tools import toolbox
from pipelines.tools.developer import Functions
from pipelines.tools.mcp import McpTools, McpUnavailable
from tests.support.fake_providers import Call
from tests.support.said import conversation

pytest.importorskip("mcp")


@pytest.fixture
async def url() -> AsyncIterator[str]:
    import uvicorn
    from mcp.server import MCPServer

    server = MCPServer("kitchen")

    @server.tool()
    def dish_of_the_day(day: str) -> str:
        """What is cooked on a day."""
        if day == "never":
            raise ValueError("closed")
        return f"Soup on {day}"

    @server.tool()
    def fire_the_cook() -> str:
        """Not for agents."""
        return "fired"

    @server.tool()
    async def stew() -> str:
        """Takes long."""
        await asyncio.sleep(30)
        return "stew"

    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(server.streamable_http_app(), log_level="error", ws="none")
    serving = uvicorn.Server(config)
    running = asyncio.create_task(serving.serve(sockets=[listening]))
    yield f"http://127.0.0.1:{listening.getsockname()[1]}/mcp"
    serving.should_exit = True
    await running


def server(url: str, **more: object) -> McpServer:
    return McpServer.model_validate({"name": "kitchen", "url": url, **more})


async def test_only_allowed_tools_are_offered_and_they_answer(url: str) -> None:
    guard = Guard(["127.0.0.1"])
    servers = (server(url, allowed_tools=["dish_of_the_day", "stew"], timeout_ms=1500),)
    agent = AgentConfig(agent_id="a", name="A", engine=EngineConfig(mcp_servers=servers))
    box = toolbox.build(agent, Functions(), guard=guard)
    tools = await box.connect()
    assert [tool.id for tool in tools] == ["dish_of_the_day", "stew"]
    answers = {
        "friday": Call("dish_of_the_day", {"day": "Friday"}),
        "never": Call("dish_of_the_day", {"day": "never"}),
        "stew": Call("stew"),
    }
    async with conversation(tools, answers) as talk:
        assert "Soup on Friday" in (await talk.says("friday"))[1]
        assert (await talk.says("never"))[1].startswith("!-> ")
        assert (await talk.says("stew"))[1].startswith("!-> stew ")
    await box.aclose()
    await guard.close()


async def test_a_server_that_is_not_one_costs_its_own_tools_only(url: str) -> None:
    strict, guard = Guard(), Guard(["127.0.0.1"])
    warned: list[str] = []
    for chosen, address in (
        (strict, url),
        (guard, "http://127.0.0.1:1/mcp"),
        (guard, url.replace("/mcp", "/nothing")),
    ):
        connections = McpTools(chosen)
        with pytest.raises(McpUnavailable) as why:
            await connections.of(server(address, timeout_ms=3000))
        warned.append(str(why.value))
        await connections.aclose()
    assert all(sentence.startswith("The MCP server kitchen") for sentence in warned)
    assert "https://" in warned[0] or "public internet" in warned[0]
    await strict.close()
    await guard.close()
