"""From an agent's configuration to its tools, whatever kind they are, all of them under one policy."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from livekit.agents import RunContext
from livekit.agents.llm import RawFunctionTool, Tool, function_tool
from pydantic import ValidationError

from pipelines import function_config
from pipelines.agent_config import AgentConfig, McpServer
from pipelines.function_config import PythonFunction, RunsLike, WebhookFunction
from pipelines.outbound import Guard
from pipelines.tools import mcp, webhook
from pipelines.tools.call_control import CallControl, builtins
from pipelines.tools.developer import Functions
from pipelines.tools.policy import Failed, Rails, canonical
from pipelines.tools.python_tool import as_tool

Warnings = list[tuple[str, str]]


@dataclass
class Toolbox:
    """The tools of one call. Close it at the end."""

    tools: list[Tool]
    rails: Rails
    warnings: Warnings = field(default_factory=list)
    servers: Sequence[McpServer] = ()
    connections: mcp.McpTools | None = None

    async def connect(self) -> list[Tool]:
        """The tools of the MCP servers, asked all at once while the greeting is spoken.

        What is wrong with a server is told to the rails as a warning; the others are there.
        """
        if self.connections is None:
            return []
        found = await asyncio.gather(*(self._of(self.connections, server) for server in self.servers))
        taken = {tool.id for tool in self.tools}
        new: dict[str, Tool] = {}
        for tools in found:
            for tool in tools:
                if tool.id not in taken:
                    new.setdefault(tool.id, tool)
        return list(new.values())

    async def _of(self, connections: mcp.McpTools, server: McpServer) -> list[Tool]:
        try:
            listed = await connections.of(server)
        except mcp.McpUnavailable as error:
            self.rails.warn("mcp_unavailable", str(error))
            return []
        how = mcp.how_of(server)
        return [of_mcp(tool, how, self.rails) for tool in listed]

    async def aclose(self) -> None:
        """Let go of the MCP servers."""
        if self.connections is not None:
            await self.connections.aclose()


def build(
    agent: AgentConfig,
    functions: Functions,
    *,
    call_id: str = "",
    guard: Guard | None = None,
    control: CallControl | None = None,
) -> Toolbox:
    """Everything that the agent asks for and that is here; what is not is warned of."""
    limits, engine = agent.limits, agent.engine
    rails = Rails(call_id, limits.tool_calls_per_turn, limits.tool_calls)
    box = Toolbox([], rails, [("function_broken", sentence) for sentence in functions.broken])
    told = {"X-Call2Me-Call-Id": call_id, "X-Call2Me-Agent-Id": agent.agent_id}
    for entry in engine.functions:
        try:
            function = function_config.read(entry)
        except ValidationError as error:
            sentence = f"The function {entry.get('name')} cannot be used: {error.errors()[0]['msg']}."
            box.warnings.append(("function_broken", sentence))
            continue
        _add(box, function, functions, guard, told)
    if control is not None:
        _take(box, builtins(agent, control, rails))
    if engine.mcp_servers and guard is not None:
        box.servers, box.connections = engine.mcp_servers, mcp.McpTools(guard)
    return box


def _add(
    box: Toolbox,
    function: PythonFunction | WebhookFunction,
    functions: Functions,
    guard: Guard | None,
    told: Mapping[str, str],
) -> None:
    if isinstance(function, PythonFunction):
        if (tool := functions.by_name.get(function.name)) is not None:
            _take(box, [as_tool(tool, function, box.rails)])
        else:
            sentence = f"There is no function {function.name} in the functions folder."
            box.warnings.append(("function_unavailable", sentence))
    elif guard is not None:
        _take(box, [of_webhook(function, guard, box.rails, told)])


def _take(box: Toolbox, tools: Sequence[Tool]) -> None:
    taken = {tool.id for tool in box.tools}
    box.tools.extend(tool for tool in tools if tool.id not in taken)


def of_webhook(
    function: WebhookFunction, guard: Guard, rails: Rails, told: Mapping[str, str]
) -> RawFunctionTool[..., Any]:
    """An endpoint as a tool."""

    async def work(arguments: dict[str, Any], key: str) -> Any:
        try:
            return await webhook.ask(function, arguments, guard, key, told=told)
        except webhook.WebhookFailed as error:
            raise Failed(error.message, error.detail) from None

    # The endpoint's own deadline ends with a sentence of its own; ours comes after it.
    how = function.model_copy(update={"timeout_ms": function.timeout_ms + 1000})
    return _raw(function.name, function.description, function.parameters, how, rails, work)


def of_mcp(tool: RawFunctionTool[..., Any], how: RunsLike, rails: Rails) -> RawFunctionTool[..., Any]:
    """A tool of an MCP server, under our policy."""
    schema = tool.info.raw_schema

    async def work(arguments: dict[str, Any], _key: str) -> Any:
        return await tool(raw_arguments=arguments)

    return _raw(schema["name"], schema.get("description") or "", schema["parameters"], how, rails, work)


def _raw(
    name: str, description: str, parameters: dict[str, Any], how: RunsLike, rails: Rails, work: Any
) -> RawFunctionTool[..., Any]:
    async def run(raw_arguments: dict[str, Any], context: RunContext[Any] | None = None) -> Any:
        async def with_key(key: str) -> Any:
            return await work(raw_arguments, key)

        return await rails.run(name, how, context, canonical(raw_arguments), with_key)

    schema = {"name": name, "description": description, "parameters": parameters}
    return function_tool(run, raw_schema=schema)
