"""A caller who changes language in mid-call: the agent follows, among languages that this machine serves.

user   ███en███▁▁▁▁▁▁▁▁███de███▁▁▁▁▁▁▁▁▁▁▁
agent  ▁▁▁▁▁▁▁▁▁██en██▁▁▁▁▁▁▁▁▁▁▁▁▁▁██de██      voice, engine, phrases and numbers, from this answer on
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from livekit.agents import llm, tts

from pipelines.providers import language_code
from pipelines.speakable import Speakable

SURE_WORDS = 4
"""A recogniser may take one word for another language; so many words it does not, nor twice in a row."""

TOLD = (
    "The person now speaks another language (BCP-47: {tag}). Answer in that language from now on, whatever "
    "language these rules and facts are written in."
)


@dataclass(frozen=True)
class Tongue:
    """What it takes to talk in one language. Without a `mind` the call's own engine speaks it as well."""

    tag: str
    voice: tts.TTS[Any]
    mind: llm.LLM[Any] | None = None


class Tongues:
    """The languages of one call. `to(tag)` is called for each switch, `warn` told of it."""

    def __init__(self, first: str, others: Mapping[str, Tongue], speakable: Speakable) -> None:
        self._others = others
        self._first = language_code(first)
        self._first_tag = first
        self._speakable = speakable
        self._now = self._first
        self._hint = ""
        self.to: Callable[[Tongue | None, str], None] = lambda tongue, tag: None
        self.warn: Callable[[str, str], None] = lambda code, message: None

    @property
    def told(self) -> str:
        """What an engine is told of the language besides its rules; nothing where it speaks only that."""
        now = self._others.get(self._now) if self._now != self._first else None
        return TOLD.format(tag=now.tag) if now is not None and now.mind is None else ""

    def heard(self, language: str, words: str) -> None:
        """Somebody said this, and the recogniser takes it for that language."""
        code = language_code(language)
        if code == self._now or (code != self._first and code not in self._others):
            self._hint = ""
            return
        if len(words.split()) < SURE_WORDS and code != self._hint:
            self._hint = code
            return
        self._hint, self._now = "", code
        tongue = self._others.get(code) if code != self._first else None
        tag = tongue.tag if tongue is not None else self._first_tag
        self._speakable.language = tag
        self.to(tongue, tag)
        self.warn("language_switched", f"The caller speaks another language; the agent goes on in {tag}.")

    async def aclose(self) -> None:
        """Close the voices and engines of the other languages."""
        for tongue in self._others.values():
            await tongue.voice.aclose()
            if tongue.mind is not None:
                await tongue.mind.aclose()
