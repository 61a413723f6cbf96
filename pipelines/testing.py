"""Test functions and whole agents in text, by the code that calls run: what developers import in tests."""

import contextlib
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from livekit.agents import AgentSession, llm
from livekit.agents.voice.run_result import mock_tools

from pipelines.agent import Opening, SpokenAgent
from pipelines.agent_config import AgentConfig, EngineConfig
from pipelines.follow_ups import last_question
from pipelines.local.scripted.llm import ScriptedLLM, retrieval_question
from pipelines.tools import developer, toolbox
from pipelines.tools.developer import Functions
from pipelines.tools.run_function import run


class FunctionMissing(Exception):
    """There is no such function"""


@dataclass(frozen=True)
class Called:
    """One call of a function, as the engine made it and saw what came of it."""

    name: str
    arguments: dict[str, Any]
    result: str
    is_error: bool


@dataclass(frozen=True)
class Reply:
    """What followed when the person said something."""

    text: str
    """All that the agent said, fillers too."""
    calls: tuple[Called, ...]


class Conversation:
    """A talk with an agent, in text."""

    def __init__(self, session: AgentSession[Any], warnings: list[str]) -> None:
        self._session = session
        self.warnings = warnings
        """Sentences that an agent's owner would read beside the call."""

    async def says(self, words: str) -> Reply:
        """The person says something; returns when the agent has answered."""
        seen = len(self._session.history.items)
        await self._session.run(user_input=words)
        items = self._session.history.items[seen:]
        said = [
            item.text_content or ""
            for item in items
            if isinstance(item, llm.ChatMessage) and item.role == "assistant"
        ]
        results = {item.call_id: item for item in items if isinstance(item, llm.FunctionCallOutput)}
        calls = [
            Called(
                item.name,
                json.loads(item.arguments or "{}"),
                results[item.call_id].output,
                results[item.call_id].is_error,
            )
            for item in items
            if isinstance(item, llm.FunctionCall) and item.call_id in results
        ]
        return Reply(" ".join(text.strip() for text in said), tuple(calls))


@contextlib.asynccontextmanager
async def talking(
    functions: Functions,
    instructions: str,
    uses: Sequence[str | Mapping[str, Any]] = (),
    *,
    engine: llm.LLM[Any] | None = None,
    language: str = "en",
    mocks: Mapping[str, Callable[..., Any]] | None = None,
) -> AsyncIterator[Conversation]:
    """Talk to an agent with these instructions that may use these functions.

    `uses` are names, or entries as an agent has them (`{"type": "python", "name": …, "timeout_ms": …}`).
    Without `engine` (any LLM of LiveKit's) the scripted engine thinks: no key, no network, the same
    answer each time. `mocks` run in the place of functions; the engine sees the real ones.
    """
    entries = [{"type": "python", "name": one} if isinstance(one, str) else dict(one) for one in uses]
    config = AgentConfig(
        agent_id="test",
        name="Test",
        language=language,
        engine=EngineConfig(instructions=instructions, functions=tuple(entries)),
    )
    box = toolbox.build(config, functions, call_id="test")
    for code, sentence in box.warnings:
        if code == "function_unavailable":
            raise FunctionMissing(sentence)
    warnings = [sentence for _, sentence in box.warnings]
    box.rails.warn = lambda _, sentence: warnings.append(sentence)
    agent = SpokenAgent(
        instructions=instructions,
        tools=box.tools,
        opening=Opening(),
        retrieval=None,
        question=retrieval_question if engine is None else last_question,
        language=language,
    )
    async with AgentSession[Any](llm=engine or ScriptedLLM(language=language)) as session:
        if mocks:
            mock_tools(SpokenAgent, dict(mocks), session=session)
        await session.start(agent)
        yield Conversation(session, warnings)
    await box.aclose()


async def call(functions: Functions, name: str, /, **arguments: Any) -> Any:
    """What a function returns, under the deadline and with the errors that a call has."""
    if (tool := functions.by_name.get(name)) is None:
        raise FunctionMissing(" ".join([f"There is no function {name}.", *functions.broken]))
    return await run(tool, arguments)


def load(folder: Path) -> Functions:
    """The functions of a folder."""
    return developer.load(folder)
