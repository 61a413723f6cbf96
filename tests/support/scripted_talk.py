"""A conversation with the scripted engine as a session would hold it: context, passages, functions."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from livekit.agents import llm

from kb.chunking import passages
from kb.embeddings import Embedder
from kb.index import build
from kb.search import search
from pipelines.local.scripted import PASSAGES
from pipelines.local.scripted.llm import ScriptedLLM, retrieval_question

MONDAY_NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


class Talk:
    """Say something, get what would be spoken. Functions really run; `called` keeps them in order."""

    def __init__(
        self,
        instructions: str = "",
        knowledge: Sequence[tuple[str, str]] = (),
        tools: Sequence[llm.Tool] = (),
        *,
        embedder: Embedder | None = None,
        language: str = "en",
        engine: ScriptedLLM | None = None,
    ) -> None:
        self.engine = engine or ScriptedLLM(embedder=embedder, language=language, timezone=UTC)
        self._embedder = embedder if language == "en" else None
        self._passages = [
            passage
            for number, (title, text) in enumerate(knowledge)
            for passage in passages(str(number), title, text)
        ]
        self._index = build(self._passages)
        self.tools = list(tools)
        self.called: list[tuple[str, str]] = []
        self.ctx = llm.ChatContext.empty()
        self._minutes = 0
        self._add(llm.ChatMessage(role="system", content=[instructions], created_at=self._now()))

    async def greet(self) -> str:
        """The agent speaks first."""
        return await self._reply()

    async def say(self, text: str) -> str:
        """The caller speaks; everything the agent says until it listens again."""
        self.hear(text)
        return await self._reply()

    def lose_knowledge(self) -> None:
        """What the agent could look up is gone, and its engine is told."""
        self._passages = []
        self._index = build([])
        self.engine.forget()

    def hear(self, text: str) -> None:
        """The caller speaks, and no answer is made yet."""
        self._add(llm.ChatMessage(role="user", content=[text], created_at=self._now()))

    def cut_off(self, after: str) -> None:
        """The caller interrupted the last reply: of it, only this was heard ("" is nothing)."""
        last = self.ctx.items.pop()
        assert isinstance(last, llm.ChatMessage)
        if after:
            self._add(last.model_copy(update={"content": [after], "interrupted": True}))

    async def generate(self) -> llm.CollectedResponse:
        """One reply to the context as it is; the context stays as it is."""
        ctx = self.ctx.copy()
        if found := await self._retrieve(retrieval_question(ctx)):
            ctx.items.append(llm.ChatMessage(role="system", content=["facts"], extra={PASSAGES: found}))
        return await self.engine.chat(chat_ctx=ctx, tools=self.tools).collect()

    async def _retrieve(self, question: str) -> list[dict[str, Any]]:
        vector = None
        if self._embedder is not None and self._passages:
            if not self._index.vectors.shape[1]:
                texts = [f"{passage.title}. {passage.text}" for passage in self._passages]
                self._index = build(self._passages, await self._embedder.embed(texts), self._embedder.space)
            vector = (await self._embedder.embed([question]))[0]
        return [
            {**asdict(found.passage), "score": found.score}
            for found in search(self._index, question, vector, top_k=8)
        ]

    async def _reply(self) -> str:
        spoken: list[str] = []
        for _ in range(4):
            reply = await self.generate()
            if reply.text:
                self._add(llm.ChatMessage(role="assistant", content=[reply.text], created_at=self._now()))
                spoken.append(reply.text)
            if not reply.tool_calls:
                break
            for call in reply.tool_calls:
                self.called.append((call.name, call.arguments))
                ran = await llm.execute_function_call(call, llm.ToolContext(self.tools))
                self._add(ran.fnc_call)
                if ran.fnc_call_out is not None:
                    self._add(ran.fnc_call_out)
        return " ".join(spoken)

    def _add(self, item: llm.ChatItem) -> None:
        self.ctx.items.append(item)

    def _now(self) -> float:
        return MONDAY_NOON.timestamp()
