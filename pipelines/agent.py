"""The agent a session runs: its instructions, its functions, and what it knows."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from livekit import rtc
from livekit.agents import Agent, APIConnectionError, APIError, FlushSentinel, ModelSettings, llm, stt, tts

from pipelines.background import Background
from pipelines.first_sentence import FirstSentence
from pipelines.phrases import phrase
from pipelines.retrieval import Retrieval
from pipelines.tongues import Tongue, Tongues
from pipelines.turn_taking import TurnTaking
from pipelines.volume import at_volume, without_words

logger = logging.getLogger(__name__)

_WORDS = (
    stt.SpeechEventType.INTERIM_TRANSCRIPT,
    stt.SpeechEventType.PREFLIGHT_TRANSCRIPT,
    stt.SpeechEventType.FINAL_TRANSCRIPT,
)

Question = Callable[[llm.ChatContext], str]
"""What the last turn of a conversation asks of the knowledge base."""

APOLOGY_AFTER_SECONDS = 1.0
APOLOGY_SECONDS = 8.0
"""One apology for whatever fails within this time."""


@dataclass(frozen=True)
class Opening:
    """How the agent speaks first: words to say as they are, or what to tell the engine; or silence."""

    words: str = ""
    instructions: str = ""
    is_interruptible: bool = True
    after_seconds: float = 0.0
    then_answers: bool = False
    """After the words comes an answer to what the person said last."""


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
        said_before: llm.ChatContext | None = None,
        turns: TurnTaking | None = None,
        volume: float = 1.0,
        tongues: Tongues | None = None,
        background: Background | None = None,
        is_quieted: bool = False,
    ) -> None:
        super().__init__(instructions=instructions, tools=list(tools), chat_ctx=said_before)
        self._opening = opening
        self.waits = False
        """Not to speak first when it enters: somebody else receives the caller, and says `open` then."""
        self.is_navigating = False
        """Machines listen: nothing is answered."""
        self._question_of = question
        self.language = language
        """BCP-47 tag of what is spoken now."""
        self.volume = volume
        self.background = background
        """What lines are to mix under the agent's voice."""
        self._tongues = tongues
        self._own: tuple[Any, Any] | None = None
        self._followed_voices: set[str] = set()
        if tongues is not None:
            tongues.to = self._go_on_in
        self.is_quieted = is_quieted
        """Whether lines are to take the noise out of what the caller says (`pipelines.noise`)."""
        self.made_seconds = 0.0
        """Speech that the voice has made in this call, whether it was heard or not."""
        self._apologised_at = -APOLOGY_SECONDS
        self.retrieval = retrieval
        self.first_sentence = FirstSentence()
        self._turns = turns
        self._listens_since: float | None = None
        self._heard_seconds = 0.0
        self._said_of_turn = ""
        self.on_words: Callable[[float, float], None] = lambda began_at, ended_at: None
        """Called with when final words were said (`time.time()`), where the recogniser knows it."""

    def take_over(
        self,
        said: llm.ChatContext,
        *,
        thinks: llm.LLM[Any] | llm.RealtimeModel,
        speaks: tts.TTS[Any],
        opening: Opening | None,
    ) -> None:
        """Go on where another agent of the call is, with a mind and a voice of one's own.

        Without an `opening` it greets as it would have greeted somebody who called it.

        Before the session runs it; what it hears with stays the session's.
        """
        self._chat_ctx = llm.ChatContext([*self._chat_ctx.items, *said.items])
        self._llm, self._tts, self._opening = thinks, speaks, opening or self._opening

    @property
    def is_silent_at_first(self) -> bool:
        """Whether it leaves the first words to the other side."""
        return not (self._opening.words or self._opening.instructions)

    @property
    def apology(self) -> str:
        """The words of it, in the agent's language, or in English."""
        return phrase("apology", self.language)

    def apologise(self) -> None:
        """Say that something went wrong, in the agent's language, or in English.

        A moment later, and only into silence: what failed may have been an answer prepared too early,
        and the turn itself still gets one.
        """
        asyncio.get_running_loop().call_later(APOLOGY_AFTER_SECONDS, self._apologise_now)

    def _apologise_now(self) -> None:
        now = time.monotonic()
        is_silent = self.session.agent_state == "listening" and self.session.user_state != "speaking"
        if is_silent and now - self._apologised_at >= APOLOGY_SECONDS:
            self._apologised_at = now
            self.session.say(self.apology, add_to_chat_ctx=True)

    async def on_enter(self) -> None:
        """Speak first, unless the caller began."""
        if not self.waits:
            await self.open()

    async def open(self, *, whatever_is_said: bool = False) -> None:
        """Say what is said first; also to its end, to somebody who has not heard yet who calls."""
        can_be_cut = self._opening.is_interruptible and not whatever_is_said
        if self._opening.after_seconds:
            await asyncio.sleep(self._opening.after_seconds)
            if self._opening.is_interruptible and self.session.user_state == "speaking":
                return
        if self._opening.words:
            self.session.say(self._opening.words, allow_interruptions=can_be_cut)
        if self._opening.then_answers:
            self.session.generate_reply()  # thought of while the words are spoken
        elif self._opening.instructions:
            self.session.generate_reply(
                instructions=self._opening.instructions, allow_interruptions=can_be_cut
            )

    async def llm_node(
        self, chat_ctx: llm.ChatContext, tools: list[llm.Tool], model_settings: ModelSettings
    ) -> AsyncGenerator[llm.ChatChunk | str | FlushSentinel, None]:
        """Answer with the passages at hand.

        Taken here and not in `on_user_turn_completed`: this runs while the pause is still being
        judged, and the search began while the person was still speaking (`_look_ahead`).
        """
        if self.is_navigating:
            return
        if self.retrieval is not None:
            try:
                chat_ctx = await self.retrieval.add_to(chat_ctx, self._question_of(chat_ctx))
            except Exception:
                logger.exception("a turn is answered without the knowledge base")
        if self._tongues is not None and self._tongues.told:
            chat_ctx = chat_ctx.copy()
            chat_ctx.items.append(llm.ChatMessage(role="system", content=[self._tongues.told]))
        is_muted = self._is_muted  # as a whole: half an answer is none
        answer = Agent.default.llm_node(self, chat_ctx, tools, model_settings)
        async for chunk in self.first_sentence.timed(answer):
            if not is_muted:
                yield chunk
            elif (done := without_words(chunk)) is not None:
                yield done

    @property
    def _is_muted(self) -> bool:
        """What is said to nobody belongs into no transcript; functions run, unmute is one of them."""
        output = self.session.output
        return output.audio is not None and not output.audio_enabled

    async def stt_node(
        self, audio: AsyncIterable[rtc.AudioFrame], model_settings: ModelSettings
    ) -> AsyncGenerator[stt.SpeechEvent, None]:
        """Hear, and tell when words were said.

        LiveKit begins again after its own errors only; after any other the call would stay deaf.
        """
        try:
            async for event in Agent.default.stt_node(self, self._anchored(audio), model_settings):
                yield self._followed(event)
        except APIError:
            raise
        except Exception as error:
            raise APIConnectionError("the recogniser failed") from error

    async def _anchored(self, audio: AsyncIterable[rtc.AudioFrame]) -> AsyncGenerator[rtc.AudioFrame, None]:
        async for frame in audio:
            # Times of words count from the first frame of the call, also in later streams; a hole in the
            # sound (a network that was gone) moves that moment.
            self._heard_seconds += frame.duration
            self._listens_since = time.time() - self._heard_seconds
            yield frame

    def _look_ahead(self, event: stt.SpeechEvent) -> None:
        """Let the knowledge base be searched for what seems to be asked, before it is asked to the end."""
        if self.retrieval is None or event.type not in _WORDS or not event.alternatives:
            return
        words = event.alternatives[0].text
        if event.type == stt.SpeechEventType.FINAL_TRANSCRIPT:
            self._said_of_turn = words = f"{self._said_of_turn} {words}".strip()
        else:
            words = f"{self._said_of_turn} {words}".strip()
        if not words:
            return
        try:
            context = self.chat_ctx.copy(exclude_instructions=True, exclude_function_call=True)
            context.add_message(role="user", content=words)
            self.retrieval.ahead(self._question_of(context))
        except Exception:  # only a head start is lost
            logger.exception("nothing was looked for ahead")

    async def on_user_turn_completed(self, turn_ctx: llm.ChatContext, new_message: llm.ChatMessage) -> None:
        """The next words begin another turn."""
        self._said_of_turn = ""

    def _go_on_in(self, tongue: Tongue | None, tag: str) -> None:
        """From the next answer on, in another language, or back in the agent's own."""
        if self._own is None:
            self._own = self._llm, self._tts
        self.language = tag
        self._llm, self._tts = self._own
        if tongue is None:
            return
        self._llm, self._tts = tongue.mind or self._llm, tongue.voice
        if tag not in self._followed_voices and isinstance(first := self.session.tts, tts.TTS):
            # The session follows the first voice only: what goes wrong with this one is told in its name.
            self._followed_voices.add(tag)
            tongue.voice.on("error", lambda error: first.emit("error", error))
            tongue.voice.on("metrics_collected", lambda metrics: first.emit("metrics_collected", metrics))

    def _followed(self, event: stt.SpeechEvent) -> stt.SpeechEvent:
        """Tell all who follow the words, and return what the session is to hear of them."""
        self._look_ahead(event)
        if self._tongues is not None and event.type == stt.SpeechEventType.FINAL_TRANSCRIPT:
            self._tongues.heard(str(event.alternatives[0].language or ""), event.alternatives[0].text)
        ended_at = None
        if event.type == stt.SpeechEventType.FINAL_TRANSCRIPT and self._listens_since is not None:
            heard = event.alternatives[0]
            if heard.end_time > 0:
                ended_at = self._listens_since + heard.end_time
                if heard.text:
                    self.on_words(self._listens_since + heard.start_time, ended_at)
        if self._turns is None:
            return event
        if self._turns.words is not None:
            self._turns.words.heard(event, ended_at)
        return self._turns.backchannels.sift(event) if self._turns.backchannels is not None else event

    async def tts_node(
        self, text: AsyncIterable[str], model_settings: ModelSettings
    ) -> AsyncGenerator[rtc.AudioFrame, None]:
        """Speak. LiveKit tells of its own errors only; any other would be a silence without a word."""
        try:
            async for frame in Agent.default.tts_node(self, self._told(text), model_settings):
                self.made_seconds += frame.duration
                yield frame if self.volume == 1.0 else at_volume(frame, self.volume)
        except APIError:
            raise
        except Exception as error:
            if isinstance(voice := self.session.tts, tts.TTS):
                failed = tts.TTSError(
                    timestamp=time.time(), label=voice.label, error=error, recoverable=False
                )
                voice.emit("error", failed)
            raise

    async def _told(self, text: AsyncIterable[str]) -> AsyncGenerator[str, None]:
        """The same words, known to who tells murmurs from answers."""
        backchannels = self._turns.backchannels if self._turns is not None else None
        if backchannels is not None:
            backchannels.begins()
        async for piece in text:
            if backchannels is not None:
                backchannels.says(piece)
            yield piece
