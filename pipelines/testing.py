"""Test functions and whole agents in text, by the code that calls run: what developers import in tests."""

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from livekit.agents import llm
from livekit.agents.voice.run_result import mock_tools

from pipelines.agent import SpokenAgent
from pipelines.agent_config import AgentConfig, EngineConfig
from pipelines.contract.brief import CallBrief
from pipelines.providers import ProviderSettings
from pipelines.text_turn import Done, Noted, TextHost, Used, text_turn
from pipelines.tools import developer
from pipelines.tools.developer import Functions
from pipelines.tools.knowledge import Finds
from pipelines.tools.run_function import run


class FunctionMissing(Exception):
    """There is no such function"""


@dataclass(frozen=True)
class Reply:
    """What followed when the person said something."""

    text: str
    """All that the agent said, fillers too."""
    calls: tuple[Used, ...]
    """The functions that ran, each with its arguments and its result or error."""
    warnings: tuple[str, ...]
    """Sentences that the agent's owner would read beside the call."""


class NoAnswer(Exception):
    """The agent gave no answer"""


class Conversation:
    """A talk with an agent, in text."""

    def __init__(self, brief: CallBrief, host: TextHost, mocks: Mapping[str, Callable[..., Any]]) -> None:
        self._brief, self._host, self._mocks = brief, host, dict(mocks)
        self._memory: dict[str, Any] | None = None

    async def says(self, words: str) -> Reply:
        """The person says something; returns when the agent has answered. Raises `NoAnswer`."""
        calls: list[Used] = []
        warnings: list[str] = []
        text, error = "", ""
        with mock_tools(SpokenAgent, self._mocks):
            async for event in text_turn(self._brief, words, self._host, memory=self._memory):
                match event:
                    case Used():
                        calls.append(event)
                    case Noted():
                        warnings.append(event.message)
                    case Done():
                        self._memory, text, error = event.memory, event.text, event.error
        if error:
            raise NoAnswer(error)
        return Reply(text, tuple(calls), tuple(warnings))


@contextlib.asynccontextmanager
async def talking(
    functions: Functions,
    instructions: str,
    uses: Sequence[str | Mapping[str, Any]] = (),
    *,
    engine: llm.LLM[Any] | None = None,
    language: str = "en",
    mocks: Mapping[str, Callable[..., Any]] | None = None,
    knowledge: Finds | None = None,
) -> AsyncIterator[Conversation]:
    """Talk to an agent with these instructions that may use these functions.

    `uses` are names, or entries as an agent has them (`{"type": "python", "name": …, "timeout_ms": …}`).
    Without `engine` (any LLM of LiveKit's) the scripted engine thinks: no key, no network, the same
    answer each time. `mocks` run in the place of functions; the engine sees the real ones.
    """
    entries = [{"type": "python", "name": one} if isinstance(one, str) else dict(one) for one in uses]
    for entry in entries:
        if entry.get("type") == "python" and entry["name"] not in functions.by_name:
            raise FunctionMissing(" ".join([f"There is no function {entry['name']}.", *functions.broken]))
    config = AgentConfig(
        agent_id="test",
        name="Test",
        language=language,
        engine=EngineConfig(instructions=instructions, provider="scripted", functions=tuple(entries)),
    )
    host = TextHost(ProviderSettings(), functions, knowledge, engine=engine)
    yield Conversation(CallBrief(call_id="test", agent=config), host, mocks or {})


async def call(functions: Functions, name: str, /, **arguments: Any) -> Any:
    """What a function returns, under the deadline and with the errors that a call has."""
    if (tool := functions.by_name.get(name)) is None:
        raise FunctionMissing(" ".join([f"There is no function {name}.", *functions.broken]))
    return await run(tool, arguments)


def load(folder: Path) -> Functions:
    """The functions of a folder."""
    return developer.load(folder)
