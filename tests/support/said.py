"""A conversation in text with an agent made of given tools: what the user says, what must follow."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from livekit.agents import Agent, AgentSession, llm

from tests.support.fake_providers import Call, TableLLM


@dataclass
class Conversation:
    """One that is under way."""

    session: AgentSession[Any]
    mind: TableLLM

    async def says(self, words: str) -> list[str]:
        """The person says something; what follows, in order: `name(arguments)`, `-> result`, words."""
        events = (await self.session.run(user_input=words)).events
        return [told for event in events if (told := _told(event.item))]


def _told(item: Any) -> str:
    match item:
        case llm.FunctionCall():
            return f"{item.name}({item.arguments})"
        case llm.FunctionCallOutput():
            return f"{'!' if item.is_error else ''}-> {item.output}"
        case llm.ChatMessage():
            return (item.text_content or "").strip()
    return ""


@contextlib.asynccontextmanager
async def conversation(
    tools: Sequence[llm.Tool], answers: dict[str, str | Call | list[Call]]
) -> AsyncIterator[Conversation]:
    """Talk to an agent whose mind is a table."""
    mind = TableLLM(answers)
    async with AgentSession[Any](llm=mind) as session:
        await session.start(Agent(instructions="Help.", tools=list(tools)))
        yield Conversation(session, mind)
