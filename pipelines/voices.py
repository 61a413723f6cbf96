"""The voices that an agent may ask for, known without loading any of them.

ElevenLabs and Cartesia have thousands; here are those everybody's account has. Any other of theirs is
asked for by its id: `elevenlabs-<id>`, `cartesia-<id>`.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from pipelines.local.languages import HIBARI_LANGUAGES, WHISPER_LANGUAGES, espeak_program, espeak_voice

Gender = Literal["male", "female", "neutral"]
MULTILINGUAL = "multilingual"

DEFAULT_OPENAI_VOICE = "nova"


@dataclass(frozen=True)
class Voice:
    """One voice. `voice_id` is "provider-name", `language` a code or `multilingual`."""

    provider: str
    name: str
    gender: Gender
    language: str = MULTILINGUAL
    own_id: str = ""
    """What the provider calls it, where that is not `name`."""
    model: str = ""
    description: str = ""

    @property
    def voice_id(self) -> str:
        """What stands on an agent."""
        return f"{self.provider}-{self.own_id or self.name}"

    def speaks(self, code: str) -> bool:
        """True for a voice of this language, and for those that speak many."""
        return self.language in (MULTILINGUAL, code)


_OPENAI: dict[str, Gender] = {
    **dict.fromkeys(("alloy",), "neutral"),
    **dict.fromkeys(("ash", "ballad", "cedar", "echo", "fable", "onyx", "verse"), "male"),
    **dict.fromkeys(("coral", "marin", "nova", "sage", "shimmer"), "female"),
}
OPENAI_VOICES = frozenset(_OPENAI)

REALTIME_VOICES = ("alloy", "ash", "ballad", "cedar", "coral", "echo", "marin", "sage", "shimmer", "verse")
DEFAULT_REALTIME_VOICE = "marin"

# Names of Deepgram's Aura 2, by language; the first one is the usual one.
_AURA: dict[str, dict[Gender, str]] = {
    "en": {
        "female": "thalia andromeda helena amalthea asteria athena aurora callisto cora cordelia delia "
        "electra harmonia hera iris janus juno luna minerva ophelia pandora phoebe selene theia vesta",
        "male": "apollo arcas aries atlas draco hermes hyperion jupiter mars neptune odysseus orion orpheus "
        "pluto saturn zeus",
    },
    "es": {
        "female": "celeste estrella carina diana selena gloria olivia silvia agustina antonia",
        "male": "nestor sirio alvaro aquila javier luciano valerio",
    },
    "de": {"female": "viktoria aurelia elara lara kara", "male": "julius fabian"},
    "fr": {"female": "agathe", "male": "hector"},
    "nl": {"female": "rhea beatrix cornelia daphne hestia leda", "male": "sander lars roman"},
    "it": {
        "female": "livia melia maia cinzia demetra",
        "male": "dionisio elio flavio cesare perseo",
    },
    "ja": {"female": "izanami uzume ama", "male": "fujin ebisu"},
}
AURA_LANGUAGES = tuple(_AURA)

_ELEVENLABS: tuple[tuple[str, str, Gender], ...] = (
    ("Sarah", "EXAVITQu4vr4xnSDxMaL", "female"),
    ("Laura", "FGY2WhTYpPnrIDTdsKH5", "female"),
    ("Charlie", "IKne3meq5aSn9XLyUdCD", "male"),
    ("George", "JBFqnCBsd6RMkjVDRZzb", "male"),
    ("Callum", "N2lVS1w4EtoT3dr4eOWO", "male"),
    ("River", "SAz9YHcvj6GT2YYXdXww", "neutral"),
    ("Liam", "TX3LPaxmHKxFdv7VOQHJ", "male"),
    ("Alice", "Xb7hH8MSUJpSbSDYk0k2", "female"),
    ("Matilda", "XrExE9yKIg1WjnnlVkGX", "female"),
    ("Jessica", "cgSgspJ2msm6clMCkdW9", "female"),
    ("Eric", "cjVigY5qzO86Huf0OWal", "male"),
    ("Chris", "iP95p4xoKVk53GoZ742B", "male"),
    ("Brian", "nPczCjzI2devNBz1zQrb", "male"),
    ("Daniel", "onwK4e9ZLuTAKqWW03F9", "male"),
    ("Lily", "pFZP5JQG7iQjIQuC4Bku", "female"),
    ("Bill", "pqHfZKP75CvOlQylNhV4", "male"),
)
_CARTESIA: tuple[tuple[str, str, Gender], ...] = (
    ("Jacqueline", "9626c31c-bec5-4cca-baa8-f8ba9e84c8bc", "female"),
    ("Katie", "f786b574-daa5-4673-aa0c-cbe3e8534c02", "female"),
    ("Kiefer", "228fca29-3a0a-435c-8728-5cb483251068", "male"),
)


@functools.lru_cache(maxsize=1)
def catalogue() -> tuple[Voice, ...]:
    """Every voice that has a name here, the best known first; asks espeak-ng once for its languages."""
    return tuple(_catalogue())


def find(voice_id: str) -> Voice | None:
    """The voice of this id; also one of ElevenLabs or Cartesia that is not in the catalogue."""
    for voice in catalogue():
        if voice.voice_id == voice_id:
            return voice
    provider, _, own_id = voice_id.partition("-")
    if provider in ("elevenlabs", "cartesia") and own_id:
        return Voice(provider, own_id, "neutral", description="A voice of your own account")
    return None


def aura_voice(name: str, language: str) -> str:
    """Deepgram's model for a voice: the name as it is where it is one, `thalia` as `aura-2-thalia-en`."""
    code = language.split("-", maxsplit=1)[0].lower()
    if name.startswith("aura-"):
        return name
    of_language = _aura_names(code) or _aura_names(code := "en")
    if name not in of_language:
        owner = next((other for other in _AURA if name in _aura_names(other)), None)
        return f"aura-2-{name}-{owner}" if owner else f"aura-2-{of_language[0]}-{code}"
    return f"aura-2-{name}-{code}"


def _aura_names(code: str) -> list[str]:
    return [name for names in _AURA.get(code, {}).values() for name in names.split()]


def _catalogue() -> Iterator[Voice]:
    for name, gender in _OPENAI.items():
        yield Voice("openai", name, gender, model="gpt-4o-mini-tts")
    for name in REALTIME_VOICES:
        yield Voice("openai-realtime", name, _OPENAI[name], model="gpt-realtime")
    for name, own_id, gender in _ELEVENLABS:
        yield Voice("elevenlabs", name, gender, own_id=own_id, model="eleven_turbo_v2_5")
    for name, own_id, gender in _CARTESIA:
        yield Voice("cartesia", name, gender, own_id=own_id, model="sonic-3")
    for code, by_gender in _AURA.items():
        for gender, names in by_gender.items():
            for name in names.split():
                model = f"aura-2-{name}-{code}"
                yield Voice("deepgram", name, gender, code, own_id=model, model=model)
    for code in HIBARI_LANGUAGES:
        yield Voice("hibari", "default", "female", code, description="On this machine, without a key")
    if espeak_program() is not None:
        for code in WHISPER_LANGUAGES:
            if espeak_voice(code) is not None:
                yield Voice("espeak", code, "male", code, description="On this machine, robotic")
