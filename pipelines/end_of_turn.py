"""Whose turn it is, judged by what was said: LiveKit's turn detector that reads the words.

    said      "I would like to book"           "…a cleaning on Tuesday, please."
    user      ████████████████▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁█████████████████▁▁▁
                              └── open: the long wait ──┘       └┘ complete: the short one
    agent     ▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁██████

What is unclear waits as long as it would without words. Words that are still on their way are waited for.
"""

import asyncio
import time
from typing import Any

from livekit.agents import AgentSession, UserStateChangedEvent, llm, stt

from pipelines.sentence_ends import ending

_SURE, _UNSURE, _THRESHOLD = 1.0, 0.0, 0.5
"""Ended, not ended, and where LiveKit draws the line: below it, `max_delay` applies, else `min_delay`."""
_COVERED_SECONDS = 0.3
"""A recogniser may put the end of the last word this much before the detector puts the end of the sound."""


class WordsAndPauses:
    """LiveKit asks it each time somebody falls silent or final words come; speech cancels the question.

    `patience_seconds` is the pause that ends a turn whose words say neither this nor that.
    """

    def __init__(self, language: str, patience_seconds: float) -> None:
        self._language = language
        self._patience_seconds = patience_seconds
        self._silent_since = 0.0
        self._understood_until = 0.0
        self._is_guessing = False

    @property
    def model(self) -> str:
        """Name, for metrics."""
        return "words-and-pauses"

    @property
    def provider(self) -> str:
        """Where it runs, for metrics."""
        return "call2me"

    def attach(self, session: AgentSession[Any]) -> None:
        """Know when somebody falls silent."""
        session.on("user_state_changed", self._user_changed)

    def heard(self, event: stt.SpeechEvent, ended_at: float | None) -> None:
        """The recogniser said something; final words were said until `ended_at` where it knows that."""
        if event.type == stt.SpeechEventType.FINAL_TRANSCRIPT:
            self._is_guessing = False
            self._understood_until = ended_at or time.time()
        elif event.type == stt.SpeechEventType.INTERIM_TRANSCRIPT:
            self._is_guessing = bool(event.alternatives[0].text)

    async def unlikely_threshold(self, language: object) -> float | None:
        """Below this, somebody goes on."""
        return _THRESHOLD

    async def supports_language(self, language: object) -> bool:
        """Every one: those without rules are judged by their pauses. The detected one is remembered."""
        if language:
            self._language = str(language)
        return True

    async def predict_end_of_turn(self, chat_ctx: llm.ChatContext, *, timeout: float | None = None) -> float:
        """1 when the turn is over, 0 when it goes on; takes as long as it takes to know."""
        if self._owes_words():
            return _UNSURE
        said, asked = _last_of(chat_ctx)
        how = ending(said, self._language, asked)
        if how == "unclear":
            await asyncio.sleep(max(0.0, self._silent_since + self._patience_seconds - time.time()))
        return _UNSURE if how == "open" else _SURE

    def _owes_words(self) -> bool:
        """True while something was said of which no final words have come. They bring the next question."""
        return self._is_guessing or self._silent_since - self._understood_until > _COVERED_SECONDS

    def _user_changed(self, event: UserStateChangedEvent) -> None:
        if event.new_state == "listening":
            self._silent_since = event.created_at


def _last_of(chat_ctx: llm.ChatContext) -> tuple[str, str]:
    """What the person said last, and what the agent had said before that."""
    said = asked = ""
    for item in reversed(chat_ctx.items):
        if not isinstance(item, llm.ChatMessage):
            continue
        if item.role == "user" and not said:
            said = item.text_content or ""
        elif item.role == "assistant":
            asked = item.text_content or ""
            break
    return said, asked
