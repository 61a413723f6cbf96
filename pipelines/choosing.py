"""Which providers a call hears, thinks and speaks with: what the agent asks for, then what is here.

asked for ──► the agent's fallbacks ──► whatever has a key ──► this machine
    └─ what is not here is left out, and the first one left out is warned of
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

import aiohttp
from livekit.agents import llm, stt, tts

from pipelines import follow_ups, options, realtime, vad
from pipelines import llm as llms
from pipelines import stt as stts
from pipelines import tts as ttss
from pipelines.agent import Question
from pipelines.agent_config import AgentConfig, ProviderChoice
from pipelines.custom_llm import CustomLLM
from pipelines.failover import Chain, FailoverLLM, FailoverSTT, FailoverTTS, Link, Patience
from pipelines.local.parts import CannotServe, Local
from pipelines.outbound import Guard
from pipelines.providers import OFFERS, ProviderSettings, language_code, why_not
from pipelines.tongues import Tongue
from pipelines.voices import OPENAI_VOICES

logger = logging.getLogger(__name__)

WHATEVER_IS_HERE = "call2me"
"""The provider of an agent that was made here: asks for no engine in particular."""
_DEFAULT_VOICES = ("", "default", "hibari-default")
"""Voices that ask for none in particular."""
WHOLE_UTTERANCE_SECONDS = 1.5
LOCAL_SECONDS = 8.0
"""On a busy machine Whisper takes its time; whoever steps in for it would too."""

Part = TypeVar("Part")
Warn = Callable[[str, str], None]


@dataclass(frozen=True)
class Chooser:
    """Chooses for one call. `warn` is told of what the agent's owner asked for and does not get."""

    agent: AgentConfig
    settings: ProviderSettings
    local: Local
    warn: Warn
    key_terms: tuple[str, ...] = ()
    http: aiohttp.ClientSession | None = None
    guard: Guard | None = None
    """What reaches an owner's own dialog engine; without it, none is reached."""
    call_id: str = ""
    patience: Patience = field(default_factory=Patience)

    # ── ears ──
    def ears(self) -> stt.STT[Any]:
        """Raises `CannotServe` where nothing here hears the agent's language."""
        hearing = self.agent.hearing
        asked = []
        if hearing.provider:
            asked = [ProviderChoice(provider=hearing.provider, model=hearing.model, options=hearing.options)]
        links = self._links("stt", [*asked, *hearing.fallbacks], self._recogniser)
        links += self._local_link(self._local_ears, links, LOCAL_SECONDS)
        if not links:
            return self._local_ears()
        self._warn_of("stt_unavailable", asked, links[0])
        if len(links) == 1:
            return links[0].part
        return FailoverSTT(Chain("stt", links), self.patience, lambda: vad.build(self.settings.vad, 0.25))

    def _local_ears(self) -> stt.STT[Any]:
        return self.local.stt(self.agent.language, others=self.agent.hearing.languages)

    def _recogniser(self, choice: ProviderChoice) -> Link[stt.STT[Any]]:
        if choice.provider == "whisper":
            part = self._local_ears()
            return Link(name_of(part), part, allowance=LOCAL_SECONDS)
        given = options.read("stt", choice.provider, choice.model, choice.options)
        part = stts.build(
            choice.provider,
            stts.Listening(
                self.settings, choice.model, self._heard_language(choice), self.key_terms, given, self.http
            ),
        )
        allowance = getattr(given, "eot_timeout_ms", 0) / 1000
        if not part.capabilities.streaming:
            part = stt.StreamAdapter(stt=part, vad=vad.build(self.settings.vad, 0.25))
            allowance = WHOLE_UTTERANCE_SECONDS
        return Link(name_of(part), part, allowance=allowance)

    def _heard_language(self, choice: ProviderChoice) -> str:
        is_nova = choice.provider == "deepgram" and not choice.model.startswith("flux")
        return "multi" if self.agent.hearing.languages and is_nova else self.agent.language

    # ── all in one ──
    def realtime(self) -> llm.RealtimeModel | None:
        """The model that hears, thinks and speaks, where the agent asks for one and it is here."""
        if self.agent.engine.kind != "realtime":
            return None
        if hint := next(why_not(offer, self.settings) for offer in OFFERS if offer.provider == _REALTIME):
            self.warn("realtime_unavailable", f"Speech to speech is not available here. {hint}")
            return None
        return realtime.build(self.settings, self.agent, self.key_terms, self.http)

    # ── mind ──
    def mind(self) -> tuple[llm.LLM[Any], Question, bool]:
        """The engine, how it asks the knowledge base, and whether it is the scripted one."""
        engine = self.agent.engine
        asked = ProviderChoice(provider=engine.provider, model=engine.model, options=engine.options)
        if asked.provider == "scripted":
            part, question = self.local.llm(self.agent.language)
            return part, question, True
        if asked.provider == "custom-llm" and self.guard is not None:
            return self._custom(self.guard), follow_ups.question, False
        links = self._links("llm", [asked, *engine.fallbacks], self._model)
        if not self.settings.has_language_model and not links:
            part, question = self.local.llm(self.agent.language)
            if asked.provider != WHATEVER_IS_HERE:
                self._warn_llm(asked, "the scripted engine")
            return part, question, True
        if asked.provider != WHATEVER_IS_HERE and not self._is_as_asked(asked, links[0]):
            self._warn_llm(asked, links[0].part.model)
        links += self._local_link(lambda: self.local.llm(self.agent.language)[0], links, can_go_on=False)
        if len(links) == 1:
            return links[0].part, follow_ups.question, False
        return FailoverLLM(Chain("llm", links), self.patience), follow_ups.question, False

    def _custom(self, guard: Guard) -> llm.LLM[Any]:
        """The owner's engine, and then only what the owner names: nobody else would know what to say."""
        agent = self.agent
        about = {"call_id": self.call_id, "agent_id": agent.agent_id, "language": agent.language}
        part = CustomLLM(agent.engine.websocket_url, guard, about)
        named = self._links("llm", agent.engine.fallbacks, self._model, has_defaults=False)
        if not named:
            return part
        own = Link[llm.LLM[Any]](name_of(part), part, provider=part.provider)
        return FailoverLLM(Chain("llm", [own, *named]), self.patience)

    def _model(self, choice: ProviderChoice) -> Link[llm.LLM[Any]]:
        given = options.read("llm", choice.provider, choice.model, choice.options)
        engine = self.agent.engine
        model = self._model_name(choice)
        wanted = llms.Thinking(self.settings, model, engine.temperature, engine.max_tokens, given)
        part = llms.build(choice.provider, wanted)
        return Link(name_of(part), part)

    def _model_name(self, choice: ProviderChoice) -> str:
        asked = self.agent.engine
        if choice.provider != "openai":
            return choice.model or llms.DEFAULT_MODELS[choice.provider]
        if self.settings.llm_model:
            return self.settings.llm_model
        if choice.model:
            return choice.model
        # A server of the operator's own may have the model that the agent asks somebody else for.
        is_named = bool(asked.model) and asked.provider not in (WHATEVER_IS_HERE, "custom-llm")
        return asked.model if is_named and not self.settings.is_openai_itself else llms.DEFAULT_MODEL

    def _is_as_asked(self, asked: ProviderChoice, link: Link[llm.LLM[Any]]) -> bool:
        return (link.provider, link.part.model) == (asked.provider, asked.model)

    def _warn_llm(self, asked: ProviderChoice, answers: str) -> None:
        name = f"{asked.provider}/{asked.model.removeprefix(asked.provider + '/')}"
        self.warn("llm_unavailable", f"{name} is not available here; {answers} answers.")

    # ── voice ──
    def voice(self) -> tts.TTS[Any]:
        """Raises `CannotServe` where nothing here speaks the agent's language."""
        provider, _, name = self.agent.voice_id.partition("-")
        # The voices of speech to speech also speak what is written.
        name = name.removeprefix("realtime-") if provider == "openai" else name
        is_asked = self.agent.voice_id not in _DEFAULT_VOICES
        own = self.agent.voice.options
        asked = [ProviderChoice(provider=provider, model=name, options=own)] if is_asked else []
        links = self._links("tts", [*asked, *self.agent.voice.fallbacks], self._spoken)
        links += self._local_link(lambda: self.local.tts(self.agent.language, self.agent.voice_speed), links)
        if not links:
            return self.local.tts(self.agent.language, self.agent.voice_speed)
        first = links[0].part
        if is_asked and provider not in (links[0].provider, provider_of(first), *first.model.split()):
            self.warn(
                "voice_unavailable",
                f"The voice {self.agent.voice_id} is not available here; {name_of(first)} speaks.",
            )
        return first if len(links) == 1 else FailoverTTS(Chain("tts", links), self.patience)

    def spare_voice(self) -> tts.TTS[Any] | None:
        """A voice of this machine that says the owner's last words beforehand, where there are such words."""
        if not self.agent.fallback.message.strip():
            return None
        try:
            return self.local.tts(self.agent.language, self.agent.voice_speed)
        except CannotServe:
            return None

    def _spoken(self, choice: ProviderChoice) -> Link[tts.TTS[Any]]:
        if choice.provider in ("hibari", "espeak"):
            part = self.local.tts(self.agent.language, self.agent.voice_speed)
            return Link(name_of(part), part)
        if choice.provider == "openai" and choice.model and choice.model not in OPENAI_VOICES:
            raise CannotServe
        given = options.read("tts", choice.provider, choice.model, choice.options)
        wanted = ttss.Speaking(
            self.settings, choice.model, self.agent.language, self.agent.voice_speed, given, self.http
        )
        part = ttss.build(choice.provider, wanted)
        return Link(name_of(part), part)

    # ── further languages ──
    def tongues(self, is_scripted: bool) -> dict[str, Tongue]:
        """What it takes to go on in each further language of the agent; one not served here is warned of."""
        found: dict[str, Tongue] = {}
        for tag in self.agent.hearing.languages:
            other = replace(self, agent=self.agent.model_copy(update={"language": tag}))
            try:
                if not self.settings.deepgram_api_key:
                    self.local.stt(tag)
                mind = self.local.llm(tag)[0] if is_scripted else None
                found[language_code(tag)] = Tongue(tag, other.voice(), mind)
            except CannotServe as error:
                self.warn("language_unavailable", f"The agent cannot go on in {tag} here: {error}")
        found.pop(language_code(self.agent.language), None)
        return found

    # ── all three ──
    def _links(
        self,
        kind: Literal["stt", "llm", "tts"],
        asked: Iterable[ProviderChoice],
        make: Callable[[ProviderChoice], Link[Part]],
        *,
        has_defaults: bool = True,
    ) -> list[Link[Part]]:
        """The chain as far as keys reach: what was asked for and is here, then the rest of what is here."""
        here = self._here(kind)
        wanted = [one for one in asked if one.provider in here or one.provider in _ON_THIS_MACHINE]
        if has_defaults:
            wanted += [ProviderChoice(provider=name) for name in self._defaults(kind)]
        links: dict[str, Link[Part]] = {}
        seen: set[str] = set()
        for choice in wanted:
            if choice.provider in seen and not choice.model:
                continue  # a default that the agent asked for already
            try:
                link = make(choice)
            except options.BadOptions as error:
                self.warn(f"{kind}_options", str(error))
                link = make(choice.model_copy(update={"options": {}}))
            except CannotServe:
                continue
            except Exception as error:  # noqa: BLE001 - a provider that cannot even be built is not here
                logger.warning(
                    "a provider was not built",
                    extra={"kind": kind, "provider": choice.provider, "error": type(error).__name__},
                )
                continue
            seen.add(choice.provider)
            link.provider = choice.provider
            links.setdefault(link.name, link)
        return list(links.values())

    def _here(self, kind: str) -> set[str]:
        return {
            offer.provider for offer in OFFERS if offer.kind == kind and not why_not(offer, self.settings)
        } - {_REALTIME}

    def _defaults(self, kind: str) -> Iterator[str]:
        code = language_code(self.agent.language)
        for offer in OFFERS:
            if offer.kind != kind or offer.provider not in self._here(kind):
                continue
            if offer.languages and code not in offer.languages:
                continue
            # A server that only speaks like OpenAI often has no ears and no voice: they must be asked for.
            if offer.provider == "openai" and kind != "llm" and not self.settings.is_openai_itself:
                continue
            yield offer.provider

    def _local_link(
        self,
        make: Callable[[], Part],
        links: list[Link[Part]],
        allowance: float = 0.0,
        *,
        can_go_on: bool = True,
    ) -> list[Link[Part]]:
        """What this machine does itself, at the end of the chain; nothing where it cannot."""
        try:
            part = make()
        except CannotServe:
            return []
        name = name_of(part)
        if any(link.name == name for link in links):
            return []
        return [Link(name, part, can_go_on=can_go_on, allowance=allowance)]

    def _warn_of(self, code: str, asked: list[ProviderChoice], first: Link[Any]) -> None:
        if asked and asked[0].provider not in (first.provider, first.name.split("/")[0], first.part.model):
            self.warn(code, f"{asked[0].provider} is not available here; {first.name} is used.")


_REALTIME = "openai-realtime"
_HOSTS = {"api.openai.com": "openai", "api.anthropic.com": "anthropic", "openrouter.ai": "openrouter"}
_ON_THIS_MACHINE = frozenset({"whisper", "hibari", "espeak"})


def provider_of(part: Any) -> str:
    # Some plugins name the host they speak to, which says more than "openai" for every other host.
    host = str(part.provider).lower()
    return _HOSTS.get(host, host)


def name_of(part: Any) -> str:
    return f"{provider_of(part)}/{part.model}"
