"""A language model that is several: another goes on where one fails or falls silent."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterable, AsyncIterator
from typing import Any, ClassVar

from livekit.agents import APIConnectionError, APIConnectOptions, llm
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, NOT_GIVEN, NotGivenOr

from pipelines.failover.chain import Chain, Link, Patience, Stalled
from pipelines.failover.unsaid import Unsaid

CHARACTERS_A_SECOND = 15.0
"""As people speak."""
SLOWEST_CHARACTERS_A_SECOND = 5.0
"""Fewer, for longer than `DRIP_SECONDS`, is a stall in small pieces."""
DRIP_SECONDS = 2.5
_TICK_SECONDS = 0.1

_GO_ON = (
    "The line broke after your last words, which the person has heard. Go on right after the last of them, "
    "in the same sentence. Repeat nothing and do not mention this."
)


class FailoverLLM(llm.LLM[Any]):
    """Asks the first healthy model; a silent one is overtaken, a broken one is continued by the next.

    model 1   ▁▁▁▁▁▁▁▁▁▁▁▁▁▁✗            no word for `first_token`: the next is asked as well
    model 2              ▁▁████████      whoever has a word first answers

    model 1   ▁▁█████▁▁▁▁✗               `token_gap` without a word, and all of them spoken
    model 2              ▁▁████          goes on in the same sentence
    """

    def __init__(self, chain: Chain[llm.LLM[Any]], patience: Patience) -> None:
        super().__init__()
        self.chain, self.patience = chain, patience
        for link in chain.links:
            link.part.on("metrics_collected", self._measured)

    @property
    def model(self) -> str:
        """That of whoever answered last."""
        return self.chain.serving.part.model

    @property
    def provider(self) -> str:
        """That of whoever answered last."""
        return self.chain.serving.part.provider

    def chat(
        self,
        *,
        chat_ctx: llm.ChatContext,
        tools: list[llm.Tool] | None = None,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
        parallel_tool_calls: NotGivenOr[bool] = NOT_GIVEN,
        tool_choice: NotGivenOr[llm.ToolChoice] = NOT_GIVEN,
        extra_kwargs: NotGivenOr[dict[str, Any]] = NOT_GIVEN,
    ) -> llm.LLMStream:
        """One answer, of as many models as it takes."""
        self.chain.probe(_probe)
        asked = {
            "parallel_tool_calls": parallel_tool_calls,
            "tool_choice": tool_choice,
            "extra_kwargs": extra_kwargs,
        }
        return _Stream(self, chat_ctx, tools or [], conn_options, asked)

    def prewarm(self, *, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """Open the first one's connection."""
        self.chain.links[0].part.prewarm(loop=loop)

    async def prepare(self, *told: Any) -> None:
        """Let those that like to read beforehand do so."""
        for link in self.chain.links:
            if (prepare := getattr(link.part, "prepare", None)) is not None:
                await prepare(*told)

    async def aclose(self) -> None:
        """Close them all."""
        await self.chain.aclose()
        for link in self.chain.links:
            link.part.off("metrics_collected", self._measured)
            await link.part.aclose()

    def _measured(self, *measured: Any) -> None:
        self.emit("metrics_collected", *measured)


async def _probe(model: llm.LLM[Any]) -> None:
    context = llm.ChatContext.empty()
    context.add_message(role="user", content="Say: yes")
    async with model.chat(chat_ctx=context, conn_options=_once(5.0)) as stream:
        await _first(aiter(stream))


def _once(timeout: float) -> APIConnectOptions:
    return APIConnectOptions(max_retry=0, timeout=timeout)


async def _first(chunks: AsyncIterator[llm.ChatChunk]) -> llm.ChatChunk:
    async for chunk in chunks:
        if chunk.delta is not None and (chunk.delta.content or chunk.delta.tool_calls):
            return chunk
    raise Stalled


class _Attempt:
    """One model that was asked."""

    def __init__(self, link: Link[llm.LLM[Any]], stream: llm.LLMStream) -> None:
        self.link, self.stream = link, stream
        self.chunks = aiter(stream)
        self.first = asyncio.create_task(_first(self.chunks))

    async def drop(self) -> None:
        self.first.cancel()
        await asyncio.gather(self.first, return_exceptions=True)
        with contextlib.suppress(Exception):
            await self.stream.aclose()


class _Stream(llm.LLMStream):
    _llm_request_span_name: ClassVar[str] = "llm_failover"
    _llm_attempt_span_name: ClassVar[str | None] = None
    _genai_operation_name: ClassVar[str | None] = None

    def __init__(
        self,
        owner: FailoverLLM,
        chat_ctx: llm.ChatContext,
        tools: list[llm.Tool],
        conn_options: APIConnectOptions,
        asked: dict[str, Any],
    ) -> None:
        super().__init__(owner, chat_ctx=chat_ctx, tools=tools, conn_options=conn_options)
        self._chain, self._patience = owner.chain, owner.patience
        self._asked = asked
        self._said = ""
        self._has_called = self._is_at_seam = False

    async def _metrics_monitor_task(self, event_aiter: AsyncIterable[llm.ChatChunk]) -> None:
        async for _ in event_aiter:
            pass  # each model measures itself

    async def _run(self) -> None:
        waiting = self._chain.order()
        while (attempt := await self._race(waiting)) is not None:
            try:
                await self._forward(attempt)
            except Exception as error:  # noqa: BLE001 - whatever broke, another one goes on
                self._chain.failed(attempt.link, error)
                if self._has_called:
                    return  # a function runs already, and is not called twice
            else:
                self._chain.served(attempt.link)
                return
            finally:
                await attempt.drop()
        raise APIConnectionError("every language model failed", retryable=False)

    async def _race(self, waiting: list[Link[llm.LLM[Any]]]) -> _Attempt | None:
        """Whoever has the first word. Those asked are taken from `waiting`; None when nobody is left."""
        running: list[_Attempt] = []
        try:
            while waiting or running:
                if waiting:
                    running.append(self._ask(waiting.pop(0)))
                patience = self._patience.first_token if waiting else self._patience.give_up
                await asyncio.wait(
                    {attempt.first for attempt in running}, timeout=patience, return_when="FIRST_COMPLETED"
                )
                if (winner := next((one for one in running if _has_word(one)), None)) is not None:
                    for overtaken in running[: running.index(winner)]:
                        self._chain.slow(overtaken.link)
                    running.remove(winner)
                    return winner
                is_last_wait = not waiting
                for attempt in [one for one in running if one.first.done() or is_last_wait]:
                    error = attempt.first.exception() if attempt.first.done() else Stalled()
                    self._chain.failed(attempt.link, error or Stalled())
                    running.remove(attempt)
                    await attempt.drop()
            return None
        finally:
            for attempt in running:
                await attempt.drop()

    def _ask(self, link: Link[llm.LLM[Any]]) -> _Attempt:
        context = self._chat_ctx
        if self._said and link.can_go_on:
            context = context.copy()
            context.add_message(role="assistant", content=self._said)
            context.add_message(role="system", content=_GO_ON)
        stream = link.part.chat(
            chat_ctx=context, tools=self._tools, conn_options=_once(self._patience.give_up), **self._asked
        )
        return _Attempt(link, stream)

    async def _forward(self, attempt: _Attempt) -> None:
        unsaid, pace = Unsaid(self._said), _Pace(self._patience.token_gap)
        self._is_at_seam = bool(self._said)
        chunk: llm.ChatChunk | None = attempt.first.result()
        self._chain.served(attempt.link, is_whole=False)
        while chunk is not None:
            delta = chunk.delta
            if delta is not None and delta.content:
                pace.came(delta.content)
                delta.content = self._joined(unsaid.take(delta.content)) or None
            self._has_called |= delta is not None and bool(delta.tool_calls)
            self._event_ch.send_nowait(chunk)
            chunk = await _next(attempt.chunks, pace)
        if rest := self._joined(unsaid.end()):
            delta = llm.ChoiceDelta(role="assistant", content=rest)
            self._event_ch.send_nowait(llm.ChatChunk(id="rest", delta=delta))

    def _joined(self, text: str) -> str:
        """The text as it goes on from what was said: the words of two models need a space between them."""
        if text and self._is_at_seam:
            self._is_at_seam = False
            if text[0].isalnum() and not self._said[-1].isspace():
                text = f" {text}"
        self._said += text
        return text


def _has_word(attempt: _Attempt) -> bool:
    return attempt.first.done() and not attempt.first.cancelled() and attempt.first.exception() is None


async def _next(chunks: AsyncIterator[llm.ChatChunk], pace: "_Pace") -> llm.ChatChunk | None:
    """The next chunk, None at the end. Raises `Stalled` once the caller would hear that nothing comes."""
    coming = asyncio.create_task(_anext(chunks))
    try:
        while not coming.done():
            await asyncio.wait({coming}, timeout=_TICK_SECONDS)
            if not coming.done() and pace.is_stalled():
                raise Stalled
        return coming.result()
    finally:
        if not coming.done():
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)


async def _anext(chunks: AsyncIterator[llm.ChatChunk]) -> llm.ChatChunk | None:
    return await anext(chunks, None)


class _Pace:
    """Whether words come as fast as they are spoken."""

    def __init__(self, gap_seconds: float) -> None:
        self._gap = gap_seconds
        self._began = self._last = time.monotonic()
        self._characters = self._whole = 0

    def came(self, text: str) -> None:
        self._last = time.monotonic()
        ends = max(text.rfind(mark) for mark in ".!?")
        if ends >= 0:
            self._whole = self._characters + ends + 1
        self._characters += len(text)

    def is_stalled(self) -> bool:
        now = time.monotonic()
        elapsed = now - self._began
        if self._whole / CHARACTERS_A_SECOND > elapsed:
            return False  # there are sentences still to be spoken
        is_dripping = elapsed > DRIP_SECONDS and self._characters / elapsed < SLOWEST_CHARACTERS_A_SECOND
        return now - self._last > self._gap or is_dripping
