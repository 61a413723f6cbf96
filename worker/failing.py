"""What a call does when providers give up: it apologises, and at last says recorded words."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

from livekit.agents import (
    AgentSession,
    AgentStateChangedEvent,
    ConversationItemAddedEvent,
    UserInputTranscribedEvent,
)
from livekit.agents.llm import ChatMessage

from pipelines.agent_config import AgentConfig
from pipelines.assemble import Pipeline
from pipelines.tools.call_control import CallControl, CannotDo
from worker.endings import Ending

logger = logging.getLogger(__name__)

TRIES = 2
"""Failures in a row, after which nobody waits any more. A chain of providers fails only as a whole."""
ONE_FAILURE_SECONDS = 3.0
"""Errors closer together are one: an answer that was prepared too early fails as the turn itself does."""
LAST_WORDS_SECONDS = 15.0

_SENTENCES = {
    "tts": "the agent has no voice",
    "llm": "no language model answers",
    "stt": "no recogniser hears",
}


class Failing:
    """Watches one session's providers fail. `gave_up()` returns when the call must end for it.

    voice  ▁▁✗▁▁▁▁▁▁✗████        an answer, then the apology for it: recorded words, and the call ends
    voice  ▁▁✗▁▁▁▁▁▁██████       the apology is heard: the call goes on

    Instead of ending, a call may be transferred or leave a request to be called back, as the agent says.
    """

    def __init__(
        self, pipeline: Pipeline, agent: AgentConfig, control: CallControl, call_back: Callable[[str], None]
    ) -> None:
        self._pipeline, self._agent, self._control = pipeline, agent, control
        self._ask_to_call_back = call_back
        self._failures = dict.fromkeys(_SENTENCES, 0)
        self._failed_at = dict.fromkeys(_SENTENCES, float("-inf"))
        self._gave_up: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def attach(self, session: AgentSession[Any]) -> None:
        """Follow the session: whatever works again has not failed in a row."""
        self._session = session
        session.on("agent_state_changed", self._agent_changed)
        session.on("conversation_item_added", self._item_added)
        session.on("user_input_transcribed", self._words_heard)

    def failed(self, kind: str, reason: str) -> None:
        """`llm`, `stt` or `tts` gave up on something."""
        kind = kind if kind in _SENTENCES else "llm"  # a model that is all in one, above all a mind
        now = time.monotonic()
        is_another = kind == "tts" or now - self._failed_at[kind] > ONE_FAILURE_SECONDS
        self._failed_at[kind] = now
        if is_another:
            self._failures[kind] += 1
        if self._failures[kind] < TRIES:
            self._pipeline.agent.apologise()
        elif not self._gave_up.done():
            self._gave_up.set_result(f"error: {_SENTENCES[kind]}: {reason}")

    async def gave_up(self) -> Ending | None:
        """Say the last words and do what the agent says is to be done then. None once it is handed on."""
        reason = await self._gave_up
        await self._say_last_words()
        fallback = self._agent.fallback
        if fallback.action == "transfer":
            target = next((one for one in self._agent.transfer_targets if one.name == fallback.target), None)
            try:
                if target is not None:
                    await self._control.transfer(target)
                    return None  # the control tells how the call ended
            except CannotDo:
                logger.warning("a failing call could not be transferred")
        if fallback.action != "end":
            self._ask_to_call_back(reason)
        return Ending("failed", reason)

    async def _say_last_words(self) -> None:
        words = self._pipeline.last_words
        try:
            async with asyncio.timeout(LAST_WORDS_SECONDS):
                await self._session.interrupt(force=True)
                await self._session.say(words.text, audio=words.sound(), allow_interruptions=False)
        except Exception as error:  # noqa: BLE001 - the call ends in any case
            logger.warning("the last words were not heard", extra={"error": type(error).__name__})

    def _agent_changed(self, event: AgentStateChangedEvent) -> None:
        if event.new_state == "speaking" and not self._gave_up.done():
            self._failures["tts"] = 0

    def _item_added(self, event: ConversationItemAddedEvent) -> None:
        item = event.item
        if not isinstance(item, ChatMessage) or item.role != "assistant":
            return
        if (item.text_content or "").strip() != self._pipeline.agent.apology:
            self._failures["llm"] = 0

    def _words_heard(self, event: UserInputTranscribedEvent) -> None:
        if event.transcript.strip():
            self._failures["stt"] = 0
