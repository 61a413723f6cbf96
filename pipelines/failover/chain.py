"""The providers of one kind in the order in which they are asked, and the telling of who serves."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

from livekit.agents import APIStatusError

from pipelines.failover.circuit import Circuit

logger = logging.getLogger(__name__)

Part = TypeVar("Part")
PROBE_SECONDS = 5.0


class Stalled(Exception):
    """It said nothing in time"""


@dataclass(frozen=True)
class Patience:
    """How long each silence may last, in seconds, until somebody else is asked as well."""

    first_token: float = 1.2
    """From the request to the first word or function call. A voice of this machine takes 0.2 s more."""
    token_gap: float = 1.0
    """Between two words, once what there is has been spoken."""
    first_audio: float = 1.0
    audio_gap: float = 0.6
    """Between two frames, once what there is has been heard."""
    no_words: float = 0.6
    """From the end of speech to any sign of it from the recogniser."""
    no_final: float = 1.5
    """From the end of speech to its final words, once there were some."""
    give_up: float = 8.0
    """Whatever is asked for and still has not come by then never comes."""


@dataclass
class Link(Generic[Part]):
    """One provider in a chain."""

    name: str
    part: Part
    provider: str = ""
    """As an agent asks for it."""
    can_go_on: bool = True
    """Whether a model can be told to go on in the middle of a sentence."""
    allowance: float = 0.0
    """Seconds that a recogniser may take longer: it ends turns itself, or hears whole utterances."""
    circuit: Circuit = field(default_factory=Circuit)


@dataclass(frozen=True)
class Switched:
    """Another provider serves from here on."""

    kind: Literal["stt", "llm", "tts"]
    before: str
    now: str
    reason: str
    """Empty: the one that failed is back."""

    @property
    def sentence(self) -> str:
        """For the call's record."""
        if not self.reason:
            return f"{self.now} is back, in place of {self.before}."
        return f"{self.before} failed ({self.reason}); {self.now} stepped in."


class Chain(Generic[Part]):
    """Providers of one kind. `order` says whom to ask; whoever is asked says how it went."""

    def __init__(self, kind: Literal["stt", "llm", "tts"], links: list[Link[Part]]) -> None:
        self.kind: Literal["stt", "llm", "tts"] = kind
        self.links = links
        self.on_switch: Callable[[Switched], None] = lambda switched: None
        self._serving = links[0]
        self._reasons: dict[str, str] = {}
        self._probes: set[asyncio.Task[None]] = set()

    @property
    def serving(self) -> Link[Part]:
        """Who did the work last."""
        return self._serving

    def order(self) -> list[Link[Part]]:
        """The healthy ones first; the others are asked when these fail too."""
        return sorted(self.links, key=lambda link: not link.circuit.is_closed)

    def served(self, link: Link[Part], *, is_whole: bool = True) -> None:
        """It works; and where it is another one than before, that is told. Half an answer heals nothing."""
        if is_whole:
            link.circuit.worked()
        if link is self._serving:
            return
        before, self._serving = self._serving, link
        is_back = self.links.index(link) < self.links.index(before) and before.circuit.is_closed
        reason = "" if is_back else self._reasons.get(before.name, "it was too slow")
        self.on_switch(Switched(self.kind, before.name, link.name, reason))

    def failed(self, link: Link[Part], error: BaseException) -> None:
        """It gave an error, garbage, or nothing at all."""
        self._reasons[link.name] = reason = why(error)
        link.circuit.failed()
        logger.warning("a provider failed", extra={"kind": self.kind, "link": link.name, "reason": reason})

    def slow(self, link: Link[Part]) -> None:
        """Another one was quicker."""
        self._reasons[link.name] = "it was too slow"
        link.circuit.slow()

    def probe(self, try_it: Callable[[Part], Awaitable[None]]) -> None:
        """Try those that have cooled, beside the call: nobody waits for a provider to be ill again."""
        for link in self.links:
            if link.circuit.wants_probe:
                link.circuit.probing()
                task = asyncio.create_task(self._probed(link, try_it), name=f"probe {link.name}")
                self._probes.add(task)
                task.add_done_callback(self._probes.discard)

    async def _probed(self, link: Link[Part], try_it: Callable[[Part], Awaitable[None]]) -> None:
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                await try_it(link.part)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is not well yet
            self.failed(link, error)
        else:
            link.circuit.worked()

    async def aclose(self) -> None:
        """Stop probing."""
        for task in self._probes:
            task.cancel()
        await asyncio.gather(*self._probes, return_exceptions=True)


def why(error: BaseException) -> str:
    """The kind of an error: never its text, which may hold what a person said, or a key."""
    if isinstance(error, APIStatusError) and error.status_code > 0:
        return f"status {error.status_code}"
    if isinstance(error, TimeoutError | Stalled):
        return "it was silent"
    return type(error).__name__
