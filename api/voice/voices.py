"""/v1/voices, /v1/audio and /v1/providers: what an agent may sound like, and what is here of it."""

import asyncio
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from aiohttp import BodyPartReader, web
from aiohttp.http_exceptions import HttpProcessingError
from pydantic import Field

from api.http import forms
from api.http.errors import BadGateway, Invalid, NotFound, TooLarge, Unavailable
from api.http.routes import Routes
from api.http.transactions import let_go
from api.http.wire import Wire
from api.keys import SPEECH, WORKERS
from api.outside.sounds import NotAudio
from api.outside.speech import NoSpeech, NotHere
from api.voice import available
from pipelines import options, voices
from pipelines.contract.websocket import Available

routes = Routes("/v1/voices", tag="Voices")
audio = Routes("/v1/audio", tag="Audio")
providers = Routes("/v1/providers", tag="Voices")

MP3 = "audio/mpeg"
MAX_AUDIO_BYTES = 16 * 1024 * 1024
UPLOAD_SECONDS = 60.0
Language = Annotated[str, Field(max_length=35, pattern=r"^[A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8})*$")]
VoiceId = Annotated[str, Field(min_length=1, max_length=200)]

_PREVIEWS = {
    "de": "Guten Tag! So klinge ich, wenn ich für Sie telefoniere.",
    "en": "Hello! This is how I sound when I am on the phone for you.",
    "es": "¡Hola! Así sueno cuando hablo por teléfono por usted.",
    "fr": "Bonjour ! Voici ma voix quand je téléphone pour vous.",
    "it": "Buongiorno! Questa è la mia voce quando telefono per lei.",
    "nl": "Hallo! Zo klink ik als ik voor u bel.",
    "pt": "Olá! É assim que eu soo quando telefono por si.",
    "tr": "Merhaba! Sizin için telefonda konuşurken sesim böyle.",
}


class VoiceNotFound(NotFound):
    """Voice not found"""


class SpeechUnavailable(Unavailable):
    """Nothing here can do this"""


class SpeechFailed(BadGateway):
    """The provider did not answer as it should"""


class Voice(Wire):
    """A voice that an agent may ask for."""

    voice_id: str
    name: str
    provider: str
    language: str
    """A code, or `multilingual`."""
    gender: Literal["male", "female", "neutral"]
    description: str | None = None
    preview_url: str | None = None
    """POST here for a preview."""
    supported_languages: list[str] | None = None
    provider_voice_id: str | None = None
    model: str | None = None
    is_available: bool
    """False where another voice would speak in its place today."""
    hint: str | None = None
    """What to do to have it."""


class VoiceFilter(Wire):
    """Which voices to list. Those that speak many languages match each of them."""

    language: Language | None = None
    provider: Annotated[str, Field(max_length=50)] | None = None
    gender: Literal["male", "female", "neutral"] | None = None


class PreviewRequest(Wire):
    """What a voice is to say; without a text, a sentence about itself."""

    language: Language | None = None
    text: Annotated[str, Field(min_length=1, max_length=500)] | None = None


class SpeechRequest(Wire):
    """A text to be spoken."""

    text: Annotated[str, Field(min_length=1, max_length=5000)]
    voice_id: VoiceId = "CFzl8WvPQ92EKMBs2hpS"
    """As on an agent; without a provider it is an id of ElevenLabs'."""
    language: Language = "tr-TR"
    speed: Annotated[float, Field(ge=0.5, le=2.0)] = 1.0


class Transcription(Wire):
    """What was said in a file."""

    transcript: str
    confidence: float
    language: str


class ProviderStatus(Wire):
    """One provider of ears, minds or voices."""

    kind: Literal["stt", "llm", "tts"]
    provider: str
    is_available: bool
    languages: list[str]
    """Empty: any."""
    hint: str | None = None
    """What to do to have it."""
    options: dict[str, Any]
    """JSON Schema of what may be set of it in an agent's chain."""


# ── voices ───────────────────────────────────────────────────────────────────────────────────────
@routes.get()
async def list_voices(request: web.Request, query: VoiceFilter) -> list[Voice]:
    """List the voices an agent may ask for, those that are here first."""
    offers = await _offers(request)
    code = _code(query.language) if query.language else None
    found = [
        _voice(voice, offers)
        for voice in await asyncio.to_thread(voices.catalogue)
        if (code is None or voice.speaks(code))
        and query.provider in (None, voice.provider)
        and query.gender in (None, voice.gender)
    ]
    return sorted(found, key=lambda voice: not voice.is_available)


@routes.get("/{voice_id}", errors=[VoiceNotFound])
async def get_voice(request: web.Request, voice_id: VoiceId) -> Voice:
    """Get a voice. Any id of ElevenLabs' or Cartesia's is one."""
    return _voice(await _found(voice_id), await _offers(request))


@routes.post("/{voice_id}/preview", errors=[VoiceNotFound, SpeechUnavailable, SpeechFailed], produces=[MP3])
async def preview_voice(
    request: web.Request, voice_id: VoiceId, body: PreviewRequest | None = None
) -> web.StreamResponse:
    """Hear a voice: an MP3."""
    voice = await _found(voice_id)
    asked = body or PreviewRequest()
    own = "en" if voice.language == voices.MULTILINGUAL else voice.language
    language = asked.language or own
    text = asked.text or _PREVIEWS.get(_code(language), _PREVIEWS["en"])
    return await _spoken(request, voice, text, language, 1.0)


# ── audio ────────────────────────────────────────────────────────────────────────────────────────
@audio.post("/tts", errors=[VoiceNotFound, SpeechUnavailable, SpeechFailed], produces=[MP3])
async def speak(request: web.Request, body: SpeechRequest) -> web.StreamResponse:
    """Speak a text: an MP3."""
    named = body.voice_id if "-" in body.voice_id else f"elevenlabs-{body.voice_id}"
    voice = await _found(named)
    return await _spoken(request, voice, body.text, body.language, body.speed)


@audio.post("/stt", errors=[Invalid, SpeechUnavailable, SpeechFailed, TooLarge], reads="multipart/form-data")
async def transcribe(request: web.Request) -> Transcription:
    """Transcribe a file: the fields `audio`, `language` (`tr`) and `provider` (`deepgram`, `whisper`)."""
    sound, fields = await _uploaded(request)
    language, provider = fields.get("language") or "tr", fields.get("provider") or "deepgram"
    await let_go(request)
    try:
        heard = await request.app[SPEECH].hear(provider, sound, language)
    except NotAudio as error:
        raise Invalid.at("body", "audio", msg=str(error) or "This is no sound that can be read") from None
    except NotHere as error:
        raise SpeechUnavailable(str(error)) from None
    except NoSpeech as error:
        raise SpeechFailed(str(error)) from None
    return Transcription(transcript=heard.text, confidence=heard.confidence, language=language)


# ── providers ────────────────────────────────────────────────────────────────────────────────────
@providers.get()
async def list_providers(request: web.Request) -> list[ProviderStatus]:
    """List what hears, thinks and speaks, whether it is here, and what to do where it is not."""
    return [
        ProviderStatus(
            kind=one.kind,
            provider=one.provider,
            is_available=one.is_available,
            languages=list(one.languages),
            hint=one.hint or None,
            options=options.of(one.kind, one.provider).model_json_schema(),
        )
        for one in _best(await _offers(request))
    ]


async def _offers(request: web.Request) -> list[Available]:
    return available.offered(await request.app[WORKERS].present())


def _best(offers: Iterable[Available]) -> list[Available]:
    """One for each provider: of several workers, one that has it."""
    best: dict[tuple[str, str], Available] = {}
    for offer in offers:
        key = (offer.kind, offer.provider)
        if key not in best or (offer.is_available and not best[key].is_available):
            best[key] = offer
    return list(best.values())


async def _found(voice_id: str) -> voices.Voice:
    if (voice := await asyncio.to_thread(voices.find, voice_id)) is None:
        raise VoiceNotFound
    return voice


def _voice(voice: voices.Voice, offers: list[Available]) -> Voice:
    of_provider = [one for one in offers if (one.kind, one.provider) == ("tts", voice.provider)]
    is_available = any(one.is_available for one in of_provider)
    hint = next((one.hint for one in of_provider if one.hint), "No worker offers this provider.")
    many = voice.language == voices.MULTILINGUAL
    return Voice(
        voice_id=voice.voice_id,
        name=voice.name,
        provider=voice.provider,
        language=voice.language,
        gender=voice.gender,
        description=voice.description or None,
        preview_url=f"/v1/voices/{voice.voice_id}/preview",
        supported_languages=None if many else [voice.language],
        provider_voice_id=voice.own_id or voice.name,
        model=voice.model or None,
        is_available=is_available,
        hint=None if is_available else hint,
    )


async def _spoken(
    request: web.Request, voice: voices.Voice, text: str, language: str, speed: float
) -> web.StreamResponse:
    await let_go(request)
    try:
        mp3 = await request.app[SPEECH].say(voice, text, language, speed)
    except NotHere as error:
        raise SpeechUnavailable(str(error)) from None
    except NoSpeech as error:
        raise SpeechFailed(str(error)) from None
    return web.Response(body=mp3, content_type=MP3)


_AROUND_BYTES = 64 * 1024
"""What a form may have beside its file."""
_NO_FORM = (ValueError, TimeoutError, AssertionError, RuntimeError, HttpProcessingError)
"""What aiohttp says of a form that is none."""


async def _uploaded(request: web.Request) -> tuple[bytes, dict[str, str]]:
    """The file and the other fields of a form, all of them bounded."""
    if not request.content_type.startswith("multipart/"):
        raise Invalid.at("body", "audio", msg="Send a form with the file in the field audio")
    sound, fields = b"", {}
    try:
        async with asyncio.timeout(UPLOAD_SECONDS):
            async for part in await forms.parts(request, MAX_AUDIO_BYTES + _AROUND_BYTES):
                if not isinstance(part, BodyPartReader):
                    continue
                if part.name == "audio":
                    sound = await _bounded(part, MAX_AUDIO_BYTES)
                elif part.name in ("language", "provider"):
                    fields[part.name] = (await _bounded(part, 100)).decode("utf-8", "replace").strip()
    except _NO_FORM as error:
        raise Invalid.at("body", "audio", msg="The form is not whole") from error
    if not sound:
        raise Invalid.at("body", "audio", msg="Field required", type="missing")
    return sound, fields


async def _bounded(part: BodyPartReader, most: int) -> bytes:
    read = bytearray()
    while chunk := await part.read_chunk(64 * 1024):
        read += chunk
        if len(read) > most:
            raise TooLarge
    return bytes(read)


def _code(tag: str) -> str:
    return tag.replace("_", "-").split("-")[0].lower()
