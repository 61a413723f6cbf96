"""From a brief to a pipeline: what is configured, answered by what is available."""

import asyncio
import logging
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import aiohttp
from livekit.agents import AgentSession, APIConnectOptions, llm, stt, tts
from livekit.agents import vad as detectors
from livekit.agents.voice.agent_session import SessionConnectOptions

from pipelines import llm as llms
from pipelines import stt as stts
from pipelines import tts as ttss
from pipelines import turn_taking, vad
from pipelines.agent import Opening, Question, SpokenAgent, last_question
from pipelines.agent_config import AgentConfig
from pipelines.contract import CallBrief
from pipelines.local.parts import Local
from pipelines.outbound import Guard
from pipelines.providers import ProviderSettings
from pipelines.speakable import Speakable
from pipelines.tools import toolbox
from pipelines.tools.call_control import CallControl
from pipelines.tools.developer import Functions
from pipelines.tools.knowledge import Finds, Retrieval
from pipelines.tools.policy import Rails
from pipelines.tools.toolbox import Toolbox
from pipelines.turn_taking import TurnTaking
from pipelines.variables import render

logger = logging.getLogger(__name__)

_PREPARE_AFTER_SECONDS = 0.5
"""The greeting's first words come first."""

_WHATEVER_IS_HERE = "call2me"
"""The provider of an agent that was made here: asks for no engine in particular."""
_DEFAULT_VOICES = ("", "hibari-default")
"""Voices that ask for none in particular."""

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

    stt: stt.STT[Any]
    llm: llm.LLM[Any]
    tts: tts.TTS[Any]
    vad: detectors.VAD
    turns: TurnTaking
    agent: SpokenAgent
    speakable: Speakable
    stt_name: str
    llm_name: str
    tts_name: str
    language: str
    warnings: tuple[Warned, ...] = ()
    knowledge: tuple[tuple[str, str], ...] = ()
    """Titles and texts that the agent may answer from, for engines that like to read them beforehand."""
    closing: list[Any] = field(default_factory=list)
    toolbox: Toolbox = field(default_factory=lambda: Toolbox([], Rails()))

    def session(self) -> AgentSession[None]:
        """A session that hears, thinks and speaks with this; nothing in it reaches a cloud."""
        quick = APIConnectOptions(max_retry=1, retry_interval=0.5, timeout=8.0)
        session: AgentSession[None] = AgentSession(
            stt=self.stt,
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
                stt_conn_options=quick, llm_conn_options=quick, tts_conn_options=quick
            ),
        )
        self.turns.attach(session)
        return session

    async def prepare(self) -> None:
        """Do what the first answer would otherwise wait for, while the greeting is spoken.

        What fails here is done, or told of, when the first answer needs it.
        """
        await asyncio.sleep(_PREPARE_AFTER_SECONDS)
        if (prepare := getattr(self.llm, "prepare", None)) is not None:
            try:
                await prepare(self.agent.instructions, list(self.agent.tools), self.knowledge)
            except Exception as error:  # noqa: BLE001 - the call goes on as if nothing had been tried
                logger.info("an engine was not prepared", extra={"error": type(error).__name__})
        if more := await self.toolbox.connect():
            await self.agent.update_tools([*self.agent.tools, *more])

    async def aclose(self) -> None:
        """Close what was opened for this call."""
        for part in (self.stt, self.llm, self.tts, self.toolbox, *self.closing):
            await part.aclose()


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

    instructions = _rendered(agent.engine.instructions, brief, now, warnings)
    begin = _rendered(agent.begin_message, brief, now, warnings).strip()
    hears = _hears(agent, settings, parts, http)
    thinks, question = _thinks(agent, settings, parts, warnings)
    speaks = _speaks(agent, settings, parts, warnings)
    turns = turn_taking.turn_taking(agent, hears)
    is_scripted = not settings.has_language_model
    box = toolbox.build(agent, functions, call_id=brief.call_id, guard=guard, control=control)
    warnings.extend(Warned(code, message) for code, message in box.warnings)
    return Pipeline(
        stt=hears,
        llm=thinks,
        tts=speaks,
        vad=vad.build(settings.vad, turns.vad_silence_seconds),
        turns=turns,
        agent=SpokenAgent(
            instructions=instructions,
            tools=box.tools,
            opening=_opening(brief, begin, is_scripted),
            retrieval=Retrieval(knowledge) if knowledge is not None else None,
            question=question,
            language=agent.language,
            said_before=brief.transcript,
            turns=turns,
        ),
        speakable=Speakable(agent.language, agent.voice.pronunciations),
        stt_name=_name(hears),
        llm_name=_name(thinks),
        tts_name=_name(speaks),
        language=agent.language,
        warnings=tuple(warnings),
        knowledge=tuple((text.title, text.text) for text in brief.knowledge),
        toolbox=box,
    )


def _rendered(text: str, brief: CallBrief, now: datetime, warnings: list[Warned]) -> str:
    result = render(text, brief.variables, now)
    warnings.extend(
        Warned("variable_unknown", f"The variable {name} has no value and was left out.")
        for name in result.unknown
        if not any(name in warned.message.split() for warned in warnings)
    )
    return result.text


def _hears(
    agent: AgentConfig,
    settings: ProviderSettings,
    local: Local,
    http: aiohttp.ClientSession | None,
) -> stt.STT[Any]:
    if settings.deepgram_api_key:
        return stts.deepgram(settings, agent.language, http)
    return local.stt(agent.language)


def _thinks(
    agent: AgentConfig, settings: ProviderSettings, local: Local, warnings: list[Warned]
) -> tuple[llm.LLM[Any], Question]:
    asked = f"{agent.engine.provider}/{agent.engine.model.removeprefix(agent.engine.provider + '/')}"
    if not settings.has_language_model:
        thinks, question = local.llm(agent.language)
        if agent.engine.provider not in ("scripted", _WHATEVER_IS_HERE):
            warnings.append(
                Warned("llm_unavailable", f"{asked} is not available here; the scripted engine answers.")
            )
        return thinks, question
    is_asked_for = agent.engine.provider == "openai" or not settings.is_openai_itself
    is_named = bool(agent.engine.model) and agent.engine.provider != _WHATEVER_IS_HERE
    model = settings.llm_model or (agent.engine.model if is_asked_for and is_named else llms.DEFAULT_MODEL)
    is_any_welcome = agent.engine.provider == _WHATEVER_IS_HERE
    if not is_any_welcome and (agent.engine.provider != "openai" or model != agent.engine.model):
        warnings.append(Warned("llm_unavailable", f"{asked} is not available here; {model} answers."))
    engine = llms.openai_compatible(settings, model, agent.engine.temperature, agent.engine.max_tokens)
    return engine, last_question


def _speaks(
    agent: AgentConfig, settings: ProviderSettings, local: Local, warnings: list[Warned]
) -> tts.TTS[Any]:
    provider, _, voice = agent.voice_id.partition("-")
    is_asked_for = provider == "openai" and voice in ttss.OPENAI_VOICES and bool(settings.openai_api_key)
    if is_asked_for:
        return ttss.openai(settings, voice, agent.voice_speed)
    # A server that only speaks like OpenAI often has no voices: there, they must be asked for.
    if settings.is_openai_itself:
        speaks = ttss.openai(settings, ttss.DEFAULT_OPENAI_VOICE, agent.voice_speed)
    else:
        speaks = local.tts(agent.language, agent.voice_speed)
    if agent.voice_id not in _DEFAULT_VOICES and provider not in (
        _provider(speaks),
        *speaks.model.split(),
    ):
        warnings.append(
            Warned(
                "voice_unavailable",
                f"The voice {agent.voice_id} is not available here; {_name(speaks)} speaks.",
            )
        )
    return speaks


def _opening(brief: CallBrief, begin: str, is_scripted: bool) -> Opening:
    if brief.transcript:
        return Opening()
    language, can_be_cut = brief.agent.language, not brief.agent.opening.uninterruptible
    if begin and (is_scripted or brief.agent.begin_message_mode == "static"):
        return Opening(words=begin, is_interruptible=can_be_cut)
    greet = (
        _GREET_LIKE.format(language=language, message=begin) if begin else _GREET.format(language=language)
    )
    return Opening(instructions=greet, is_interruptible=can_be_cut)


def _provider(part: stt.STT[Any] | llm.LLM[Any] | tts.TTS[Any]) -> str:
    # OpenAI's plugin names the host it speaks to, which says more than "openai" for every other host.
    return part.provider.lower().replace("api.openai.com", "openai")


def _name(part: stt.STT[Any] | llm.LLM[Any] | tts.TTS[Any]) -> str:
    return f"{_provider(part)}/{part.model}"
