"""The scripted dialog engine as a LiveKit LLM."""

import hashlib
import json
from collections.abc import Sequence
from datetime import tzinfo
from typing import Any

from livekit.agents import llm
from livekit.agents.types import (
    DEFAULT_API_CONNECT_OPTIONS,
    NOT_GIVEN,
    APIConnectOptions,
    NotGivenOr,
)

from pipelines.local.scripted import functions, history
from pipelines.local.scripted.dialog import Dialog
from pipelines.local.scripted.meaning import Embeds, Meanings
from pipelines.local.scripted.retrieval import question_to_retrieve
from pipelines.local.scripted.state import Reply
from pipelines.local.scripted.wording import wording_for


class ScriptedLLM(llm.LLM[Any]):
    """Answers with facts verbatim, fills in functions, and makes up nothing.

    `language` is a BCP-47 tag; one without wording raises `LanguageNotScripted`. `timezone` is where
    "tomorrow" is counted from, by default this machine's. Embedding apart, a turn takes a few
    milliseconds; one instance may serve any number of conversations at once.
    """

    def __init__(
        self, *, embedder: Embeds | None = None, language: str = "en", timezone: tzinfo | None = None
    ) -> None:
        super().__init__()
        wording = wording_for(language)
        # The embedder understands English alone; elsewhere its likenesses would mislead.
        self._dialog = Dialog(Meanings(embedder if wording.language == "en" else None), wording)
        self._timezone = timezone

    @property
    def model(self) -> str:
        """The name in metrics and in the call's record."""
        return "scripted"

    @property
    def provider(self) -> str:
        """Who makes it: this machine."""
        return "local"

    async def prepare(
        self,
        instructions: str,
        tools: Sequence[llm.Tool] = (),
        knowledge: Sequence[tuple[str, str]] = (),
    ) -> None:
        """Make the vectors that this call will need, while the agent greets.

        `knowledge` is titles with their texts. Without this the first question pays for it (about 150 ms).
        """
        await self._dialog.prepare(instructions, functions.read(list(tools)), knowledge)

    def forget(self) -> None:
        """Repeat nothing that was read in knowledge before: it has changed or is gone."""
        self._dialog.forget()

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
        """One reply to this context. Asking twice is harmless and gives the same."""
        usable = [] if tool_choice == "none" else (tools or [])
        return _ScriptedStream(
            self, self._dialog, self._timezone, chat_ctx=chat_ctx, tools=usable, conn_options=conn_options
        )


class _ScriptedStream(llm.LLMStream):
    def __init__(
        self,
        engine: ScriptedLLM,
        dialog: Dialog,
        timezone: tzinfo | None,
        *,
        chat_ctx: llm.ChatContext,
        tools: list[llm.Tool],
        conn_options: APIConnectOptions,
    ) -> None:
        super().__init__(engine, chat_ctx=chat_ctx, tools=tools, conn_options=conn_options)
        self._dialog = dialog
        self._timezone = timezone

    async def _run(self) -> None:
        asked = functions.read(self._tools)
        read = history.read(self._chat_ctx, self._timezone)
        reply = await self._dialog.reply(read, asked)
        # The same turn gives the same ids, and no two turns of a session share one.
        digest = hashlib.sha256(repr(read).encode()).hexdigest()[:16]
        self._send(reply, digest)
        self._event_ch.send_nowait(
            llm.ChatChunk(
                id=digest,
                usage=llm.CompletionUsage(completion_tokens=0, prompt_tokens=0, total_tokens=0),
            )
        )
        if not read.events:
            # A greeting is being spoken: time to make the vectors that the first answer needs.
            await self._dialog.prepare(read.instructions, asked)

    def _send(self, reply: Reply, digest: str) -> None:
        calls = []
        if reply.call is not None:
            calls.append(
                llm.FunctionToolCall(
                    name=reply.call.name,
                    arguments=json.dumps(dict(reply.call.arguments), ensure_ascii=False),
                    call_id=f"call_{digest}",
                )
            )
        if reply.text:
            delta = llm.ChoiceDelta(role="assistant", content=reply.text)
            self._event_ch.send_nowait(llm.ChatChunk(id=digest, delta=delta))
        if calls:
            delta = llm.ChoiceDelta(role="assistant", tool_calls=calls)
            self._event_ch.send_nowait(llm.ChatChunk(id=digest, delta=delta))


def retrieval_question(chat_ctx: llm.ChatContext) -> str:
    """What to retrieve for: the caller's last words, made whole where they follow up on something."""
    return question_to_retrieve(history.read(chat_ctx, None))
