"""The agent a session runs: its instructions, its functions, and what it knows."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from livekit.agents import Agent, FlushSentinel, ModelSettings, llm

from pipelines.providers import language_code
from pipelines.tools.knowledge import Retrieval
from pipelines.transcript import Utterance

Question = Callable[[llm.ChatContext], str]
"""What the last turn of a conversation asks of the knowledge base."""


_APOLOGIES = {
    "de": "Entschuldigung, da ist etwas schiefgegangen. Sagen Sie das bitte noch einmal.",
    "en": "I'm sorry, something went wrong. Please say that again.",
    "es": "Lo siento, algo ha fallado. Repítalo, por favor.",
    "fr": "Je suis désolé, quelque chose n'a pas fonctionné. Répétez, s'il vous plaît.",
    "it": "Mi dispiace, qualcosa è andato storto. Lo ripeta, per favore.",
    "nl": "Sorry, er ging iets mis. Zegt u het alstublieft nog eens.",
    "pt": "Desculpe, algo correu mal. Repita, por favor.",
    "tr": "Özür dilerim, bir sorun oldu. Lütfen tekrar söyler misiniz?",
}
APOLOGY_AFTER_SECONDS = 1.0
APOLOGY_SECONDS = 8.0
"""One apology for whatever fails within this time."""


@dataclass(frozen=True)
class Opening:
    """How the agent speaks first: words to say as they are, or what to tell the engine; or silence."""

    words: str = ""
    instructions: str = ""


class SpokenAgent(Agent):
    """Speaks first, answers from what it knows, and never lets a failing search cost an answer."""

    def __init__(
        self,
        *,
        instructions: str,
        tools: Sequence[llm.Tool],
        opening: Opening,
        retrieval: Retrieval | None,
        question: Question,
        language: str = "en",
        said_before: Sequence[Utterance] = (),
    ) -> None:
        super().__init__(instructions=instructions, tools=list(tools), chat_ctx=_as_context(said_before))
        self._opening = opening
        self._question_of = question
        self._apology = _APOLOGIES.get(language_code(language), "")
        self._apologised_at = -APOLOGY_SECONDS
        self.retrieval = retrieval

    def apologise(self) -> None:
        """Say that something went wrong, in the agent's language; silent where we have no words for it.

        A moment later, and only into silence: what failed may have been an answer prepared too early,
        and the turn itself still gets one.
        """
        asyncio.get_running_loop().call_later(APOLOGY_AFTER_SECONDS, self._apologise_now)

    def _apologise_now(self) -> None:
        now = time.monotonic()
        is_silent = self.session.agent_state == "listening" and self.session.user_state != "speaking"
        if self._apology and is_silent and now - self._apologised_at >= APOLOGY_SECONDS:
            self._apologised_at = now
            self.session.say(self._apology, add_to_chat_ctx=True)

    async def on_enter(self) -> None:
        """Speak first, unless the call goes on where another attempt lost it."""
        if self._opening.words:
            self.session.say(self._opening.words)
        elif self._opening.instructions:
            self.session.generate_reply(instructions=self._opening.instructions)

    async def llm_node(
        self, chat_ctx: llm.ChatContext, tools: list[llm.Tool], model_settings: ModelSettings
    ) -> AsyncGenerator[llm.ChatChunk | str | FlushSentinel, None]:
        """Answer with the passages at hand.

        Searched here and not in `on_user_turn_completed`: this runs while the pause is still being
        judged, so the search costs the caller nothing.
        """
        if self.retrieval is not None:
            chat_ctx = await self.retrieval.add_to(chat_ctx, self._question_of(chat_ctx))
        async for chunk in Agent.default.llm_node(self, chat_ctx, tools, model_settings):
            yield chunk


def last_question(chat_ctx: llm.ChatContext) -> str:
    """What the person said last, in their own words."""
    for item in reversed(chat_ctx.items):
        if isinstance(item, llm.ChatMessage) and item.role == "user":
            return item.text_content or ""
    return ""


def _as_context(said_before: Sequence[Utterance]) -> llm.ChatContext:
    context = llm.ChatContext.empty()
    roles: dict[str, Any] = {"user": "user", "agent": "assistant"}
    for utterance in said_before:
        context.add_message(
            role=roles[utterance.role],
            content=utterance.text,
            interrupted=utterance.was_interrupted,
            created_at=utterance.started_at.timestamp(),
        )
    return context
