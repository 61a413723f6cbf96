"""The stacks that are compared, given the same ears, mind and voice: ours, and LiveKit's as it comes."""

from datetime import datetime
from typing import Any

from livekit.agents import Agent, AgentSession, function_tool, inference

from bench.parts.oracle import FixedLLM, OracleSTT, ToneVoice
from pipelines import assemble
from pipelines.agent_config import AgentConfig, EngineConfig
from pipelines.contract.brief import CallBrief
from pipelines.providers import ProviderSettings
from pipelines.tools.developer import Functions
from pipelines.tools.knowledge import Passage
from tests.support.fake_providers import FakeParts

GREETING = "Hello there, how may I help?"


@function_tool
async def book() -> str:
    """Book it."""
    return "booked"


class _Knowledge:
    """A search that is done at once, so that the knowledge turn is one in both."""

    async def find(self, question: str) -> list[Passage]:
        return [{"source_id": "s", "title": "Insurance", "text": "We accept all of them.", "score": 1.0}]


async def ours(ears: OracleSTT, mind: FixedLLM, **changes: Any) -> tuple[AgentSession[Any], Agent]:
    """As a call of the product is put together."""
    agent = {
        "agent_id": "bench",
        "name": "Bench",
        "begin_message": GREETING,
        "begin_message_mode": "static",
        "engine": EngineConfig(provider="scripted", functions=({"type": "python", "name": "book"},)),
        **changes,
    }
    pipeline = await assemble.assemble(
        CallBrief(call_id="bench", agent=AgentConfig.model_validate(agent)),
        ProviderSettings(),
        Functions({"book": book}),
        datetime.now().astimezone(),
        knowledge=_Knowledge(),
        local=FakeParts(ears=lambda: ears, mind=lambda: mind, voice=ToneVoice),
    )
    return pipeline.session(), pipeline.agent


class _StockAgent(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="Answer.", tools=[book])

    async def on_enter(self) -> None:
        self.session.say(GREETING)


async def stock(ears: OracleSTT, mind: FixedLLM, **options: Any) -> tuple[AgentSession[Any], Agent]:
    """LiveKit's documented defaults with turns by voice activity; nothing of ours."""
    session: AgentSession[Any] = AgentSession(
        stt=ears,
        llm=mind,
        tts=ToneVoice(),
        vad=inference.VAD(),
        turn_handling={"turn_detection": "vad", "interruption": {"mode": "vad"}, **options},
    )
    return session, _StockAgent()


async def tuned(ears: OracleSTT, mind: FixedLLM) -> tuple[AgentSession[Any], Agent]:
    """LiveKit at its quickest documented settings."""
    return await stock(
        ears,
        mind,
        endpointing={"min_delay": 0.0},
        interruption={"mode": "vad", "min_duration": 0.1},
        preemptive_generation={"enabled": True, "preemptive_tts": True},
    )


async def ours_quick(ears: OracleSTT, mind: FixedLLM) -> tuple[AgentSession[Any], Agent]:
    """Both human numbers at 1."""
    return await ours(ears, mind, responsiveness=1.0, interruption_sensitivity=1.0)


STACKS = {
    "ours": ours,
    "ours at 1": ours_quick,
    "livekit-agents as shipped": stock,
    "livekit-agents tuned": tuned,
}
