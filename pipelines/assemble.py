"""From a brief to a pipeline: what is configured, answered by what is available."""

import asyncio
import functools
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import aiohttp
from livekit.agents import AgentSession, APIConnectOptions, llm, stt, tts
from livekit.agents import vad as detectors
from livekit.agents.types import NOT_GIVEN
from livekit.agents.voice.agent_session import SessionConnectOptions

from pipelines import noise, realtime, resuming, turn_taking, vad
from pipelines.agent import Opening, SpokenAgent
from pipelines.agent_config import AgentConfig, MessageMode
from pipelines.background import background_of
from pipelines.choosing import Chooser, name_of
from pipelines.contract.brief import CallBrief
from pipelines.failover import FailoverLLM, FailoverSTT, FailoverTTS, Switched
from pipelines.follow_ups import last_question
from pipelines.last_words import LastWords
from pipelines.local.parts import Local
from pipelines.outbound import Guard
from pipelines.providers import ProviderSettings
from pipelines.retrieval import Retrieval
from pipelines.script import Script
from pipelines.speakable import Speakable
from pipelines.tongues import Tongues
from pipelines.tools import toolbox
from pipelines.tools.call_control import CallControl
from pipelines.tools.developer import Functions
from pipelines.tools.knowledge import SEARCH, Finds, search_tool
from pipelines.tools.policy import Rails
from pipelines.tools.toolbox import Toolbox
from pipelines.turn_taking import TurnTaking

logger = logging.getLogger(__name__)

_PREPARE_AFTER_SECONDS = 0.5
"""The greeting's first words come first."""
_PAUSE_SECONDS = 0.5
"""That ends a stretch of speech where nobody waits for an answer."""

_NAMES = ("username", "name", "first_name", "last_name", "contact_name", "company", "company_name")
"""Variables that hold what somebody is called."""
MAX_KEY_TERMS = 100
LONGEST_KEY_TERM = 60
"""Longer is no name any more."""

_GREET = "Greet the person in one short sentence, in {language}, and ask how you can help."
_GREET_LIKE = "Open the conversation in one or two short sentences, in {language}, to this effect: {message}"


@dataclass(frozen=True)
class Warned:
    """Something is not as the agent's owner asked."""

    code: str
    message: str


@dataclass
class Pipeline:
    """Everything a session needs, and what to tell of it."""

    stt: stt.STT[Any] | None
    """None where one model hears, thinks and speaks (`pipelines.realtime`)."""
    llm: llm.LLM[Any] | llm.RealtimeModel
    tts: tts.TTS[Any]
    vad: detectors.VAD
    another_vad: Callable[[], detectors.VAD]
    """The same for somebody else's session: this talk hears nothing of it."""
    turns: TurnTaking
    agent: SpokenAgent
    script: Script
    goodbye_mode: MessageMode
    is_scripted: bool
    """True where no language model thinks, which could follow an instruction."""
    speakable: Speakable
    tongues: Tongues
    stt_name: str
    llm_name: str
    tts_name: str
    language: str
    warnings: tuple[Warned, ...] = ()
    knowledge: Finds | None = None
    """What the agent may answer from; engines that like to read it beforehand ask for its `texts`."""
    last_words: LastWords = field(default_factory=lambda: LastWords("en", "", None))
    closing: list[Any] = field(default_factory=list)
    toolbox: Toolbox = field(default_factory=lambda: Toolbox([], Rails()))

    def session(self) -> AgentSession[None]:
        """A session that hears, thinks and speaks with this; nothing in it reaches a cloud."""
        quick = APIConnectOptions(max_retry=1, retry_interval=0.5, timeout=8.0)
        session: AgentSession[None] = AgentSession(
            stt=self.stt or NOT_GIVEN,
            llm=self.llm,
            tts=self.tts,
            vad=self.vad,
            turn_handling=self.turns.handling,
            # What is spoken; the transcript keeps what was written.
            tts_text_transforms=[self.speakable.stream],
            aec_warmup_duration=turn_taking.ECHO_WARMUP_SECONDS,
            session_close_transcript_timeout=5.0,
            user_away_timeout=None,
            conn_options=SessionConnectOptions(
                stt_conn_options=quick,
                llm_conn_options=quick,
                tts_conn_options=quick,
                # When it is enough, and what is said then, is the host's to decide.
                max_unrecoverable_errors=100,
            ),
        )
        self.turns.attach(session)
        return session

    def on_switch(self, warn: Callable[[str, str], None]) -> None:
        """Be told each time that another provider steps in, or is back, with a code and a sentence."""

        def tell(switched: Switched) -> None:
            warn(f"{switched.kind}_switched", switched.sentence)

        self.tongues.warn = warn
        for part in (self.stt, self.llm, self.tts):
            if isinstance(part, FailoverSTT | FailoverLLM | FailoverTTS):
                part.chain.on_switch = tell

    async def prepare(self) -> None:
        """Do what the first answer would otherwise wait for, while the greeting is spoken.

        What fails here is done, or told of, when the first answer needs it.
        """
        await asyncio.sleep(_PREPARE_AFTER_SECONDS)
        if (prepare := getattr(self.llm, "prepare", None)) is not None:
            try:
                await prepare(self.agent.instructions, list(self.agent.tools), await self._texts())
            except Exception as error:  # noqa: BLE001 - the call goes on as if nothing had been tried
                logger.info("an engine was not prepared", extra={"error": type(error).__name__})
        await self.last_words.prepare()
        if more := await self.toolbox.connect():
            await self.agent.update_tools([*self.agent.tools, *more])

    async def _texts(self) -> tuple[tuple[str, str], ...]:
        texts = getattr(self.knowledge, "texts", None)
        return await texts() if texts is not None else ()

    async def aclose(self) -> None:
        """Close what was opened for this call."""
        if self.agent.retrieval is not None:
            await self.agent.retrieval.aclose()
        for part in (self.stt, self.llm, self.tts, self.toolbox, self.tongues, *self.closing):
            if part is not None:
                await part.aclose()


def ears(
    brief: CallBrief, settings: ProviderSettings, warn: Callable[[str, str], None], local: Local | None = None
) -> tuple[stt.STT[Any], detectors.VAD]:
    """What this call hears with, and a detector for a recogniser that needs one.

    `warn` is told as in `assemble`. Raises `CannotServe`.
    """
    chooser = Chooser(
        brief.agent, settings, local or Local(settings), warn, _key_terms(brief), call_id=brief.call_id
    )
    return chooser.ears(), vad.build(settings.vad, _PAUSE_SECONDS)


async def assemble(
    brief: CallBrief,
    settings: ProviderSettings,
    functions: Functions,
    now: datetime,
    *,
    knowledge: Finds | None = None,
    local: Local | None = None,
    http: aiohttp.ClientSession | None = None,
    guard: Guard | None = None,
    control: CallControl | None = None,
) -> Pipeline:
    """Build what this call hears, thinks and speaks with.

    What the agent asks for and this machine does not have is answered by the default here, with a
    warning for the record. Raises `CannotServe` where there is no default: no recogniser or no voice
    for the language.
    """
    agent = brief.agent
    warnings: list[Warned] = []
    parts = local or Local(settings)

    script = Script.of(brief, now)
    warnings += [
        Warned("variable_unknown", f"The variable {name} has no value and was left out.")
        for name in script.unknown
    ]
    chooser = Chooser(
        agent,
        settings,
        parts,
        lambda code, message: warnings.append(Warned(code, message)),
        _key_terms(brief),
        http,
        guard,
        brief.call_id,
    )
    model = chooser.realtime()
    hears = chooser.ears() if model is None else None
    thinks, question, is_scripted = chooser.mind() if model is None else (model, last_question, False)
    speaks = chooser.voice()
    last_words = LastWords(agent.language, agent.fallback.message, chooser.spare_voice())
    turns = turn_taking.turn_taking(agent, hears) if hears is not None else realtime.turn_taking(agent)
    spoken = script.spoken_by(agent)
    box = toolbox.build(spoken, functions, call_id=brief.call_id, guard=guard, control=control)
    warnings.extend(Warned(code, message) for code, message in box.warnings)
    retrieval = retrieval_of(agent, knowledge, is_asked=model is not None)
    so_far = resuming.context(brief)
    box.rails.remember(so_far)
    speakable = Speakable(agent.language, agent.voice.pronunciations)
    others = chooser.tongues(is_scripted) if hears is not None else {}  # such a model hears for itself
    minds = [thinks, *(tongue.mind for tongue in others.values())]
    forget_together(knowledge, retrieval, minds)
    tongues = Tongues(agent.language, others, speakable)
    detector = functools.partial(vad.build, settings.vad, turns.vad_silence_seconds, vad.LISTENING_SECONDS)
    return Pipeline(
        stt=hears,
        llm=thinks,
        tts=speaks,
        vad=detector(hears=turns.hush.heard if turns.hush is not None else None),
        another_vad=detector,
        turns=turns,
        agent=SpokenAgent(
            instructions=script.instructions,
            tools=[*box.tools, *([search_tool(retrieval.ask)] if retrieval and retrieval.is_asked else ())],
            opening=opening_of(brief, script.begin, is_scripted),
            retrieval=retrieval,
            question=question,
            language=agent.language,
            said_before=so_far,
            turns=turns,
            volume=agent.voice.volume,
            tongues=tongues,
            background=background_of(agent.voice.background_sound, agent.voice.background_volume),
            is_quieted=_is_quieted(agent, warnings),
        ),
        script=script,
        goodbye_mode=agent.goodbye.mode,
        is_scripted=is_scripted,
        speakable=speakable,
        tongues=tongues,
        last_words=last_words,
        closing=[last_words],
        stt_name=name_of(hears or thinks),
        llm_name=name_of(thinks),
        tts_name=name_of(speaks if hears is not None else thinks),
        language=agent.language,
        warnings=tuple(warnings),
        knowledge=knowledge,
        toolbox=box,
    )


def retrieval_of(agent: AgentConfig, knowledge: Finds | None, *, is_asked: bool = False) -> Retrieval | None:
    """How this agent asks the knowledge base: before each answer, or with a function of its own."""
    if knowledge is None:
        return None
    return Retrieval(knowledge, is_asked=is_asked or SEARCH in agent.engine.builtin_functions)


def forget_together(knowledge: Finds | None, retrieval: Retrieval | None, minds: Sequence[object]) -> None:
    """When the knowledge changes, let nobody hold on to what it said: not who looks it up, nor an engine."""
    if knowledge is None or retrieval is None or not hasattr(knowledge, "on_change"):
        return
    forgets = [retrieval.forget, *(mind.forget for mind in minds if hasattr(mind, "forget"))]

    def forget() -> None:
        for each in forgets:
            each()

    knowledge.on_change = forget


def _is_quieted(agent: AgentConfig, warnings: list[Warned]) -> bool:
    wanted, is_here = agent.hearing.noise_suppression, noise.is_installed()
    if wanted and not is_here:
        hint = "Install its extra: pip install 'call2me-runtime[noise]'."
        warnings.append(Warned("noise_suppression_unavailable", f"Noise stays in what is heard. {hint}"))
    return wanted and is_here


def _key_terms(brief: CallBrief) -> tuple[str, ...]:
    """Names that a recogniser would not expect: what the agent lists, who it is, who calls, what it knows."""
    names = [brief.variables.get(name, "") for name in _NAMES]
    titles = [title for base in brief.knowledge for title in base.titles]
    terms = (*brief.agent.hearing.key_terms, brief.agent.name, *names, *titles)
    tidy = (" ".join(term.split()) for term in terms)
    return tuple(dict.fromkeys(term for term in tidy if 2 <= len(term) <= LONGEST_KEY_TERM))[:MAX_KEY_TERMS]


def opening_of(brief: CallBrief, begin: str, is_scripted: bool) -> Opening:
    """How this call begins: what was written, in these words or to this effect, or nothing."""
    if resuming.is_resumed(brief):
        return Opening(words=resuming.words(brief), then_answers=resuming.owes_answer(brief))
    opening = brief.agent.opening
    if opening.caller_first:
        return Opening()
    language, can_be_cut, after = brief.agent.language, not opening.uninterruptible, opening.delay_ms / 1000
    if begin and (is_scripted or brief.agent.begin_message_mode == "static"):
        return Opening(words=begin, is_interruptible=can_be_cut, after_seconds=after)
    greet = (
        _GREET_LIKE.format(language=language, message=begin) if begin else _GREET.format(language=language)
    )
    return Opening(instructions=greet, is_interruptible=can_be_cut, after_seconds=after)
