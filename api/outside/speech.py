"""Providers asked once, over plain HTTP: a preview, a sentence, a file to be transcribed, one answer.

Calls stream through LiveKit's plugins, whose import costs five seconds and 140 MB; a single sentence
needs nothing of that. Local voices and ears are asked of the models process, where one runs.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from api.outside import sounds
from pipelines.local.client import ModelsClient
from pipelines.local.languages import espeak_program, espeak_voice, whisper_language
from pipelines.local.wire import ModelsError
from pipelines.providers import ProviderSettings, language_code
from pipelines.voices import Voice, aura_voice

RATE = 24_000
SECONDS = 20.0
MAX_BYTES = 16 * 1024 * 1024


class NotHere(Exception):
    """This voice or recogniser is not available here; the message says what to do"""


class NoSpeech(Exception):
    """The provider did not answer as it should"""


@dataclass(frozen=True)
class Heard:
    """What somebody said; `confidence` from 0 to 1."""

    text: str
    confidence: float


@dataclass(frozen=True)
class Thought:
    """What a language model answered."""

    text: str
    provider: str
    model: str
    function_call: dict[str, Any] | None
    usage: dict[str, int]


class Speech:
    """Voices and recognisers, asked one thing at a time. Close it at the end."""

    def __init__(self, settings: ProviderSettings, models_socket: Path) -> None:
        self._settings = settings
        self._models = ModelsClient(models_socket)
        self._http: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close all connections."""
        await self._models.aclose()
        if self._http is not None:
            await self._http.close()

    # ── saying ──
    async def say(self, voice: Voice, text: str, language: str, speed: float = 1.0) -> bytes:
        """The text in this voice, as an MP3. Raises `NotHere` or `NoSpeech`."""
        match voice.provider:
            case "openai" | "openai-realtime":
                pcm, rate = await self._openai(voice, text, speed), RATE
            case "deepgram":
                pcm, rate = await self._deepgram(voice, text, language), RATE
            case "elevenlabs":
                pcm, rate = await self._elevenlabs(voice, text, language), RATE
            case "cartesia":
                pcm, rate = await self._cartesia(voice, text, language), RATE
            case "hibari":
                pcm, rate = await self._hibari(text, speed), RATE
            case _:
                pcm, rate = await _espeak(text, language, speed), 22_050
        return await _as_mp3(pcm, rate)

    async def _openai(self, voice: Voice, text: str, speed: float) -> bytes:
        base = self._settings.openai_base_url or "https://api.openai.com/v1"
        body = {
            "model": "gpt-4o-mini-tts",
            "voice": voice.name,
            "input": text,
            "response_format": "pcm",
            "speed": speed,
        }
        headers = {"Authorization": f"Bearer {_key(self._settings.openai_api_key, 'OPENAI_API_KEY')}"}
        return await self._post(f"{base}/audio/speech", headers, json=body)

    async def _deepgram(self, voice: Voice, text: str, language: str) -> bytes:
        query = {
            "model": aura_voice(voice.own_id or voice.name, language),
            "encoding": "linear16",
            "container": "none",
            "sample_rate": str(RATE),
        }
        return await self._post(
            f"{self._deepgram_base}/v1/speak", self._deepgram_key, params=query, json={"text": text}
        )

    async def _elevenlabs(self, voice: Voice, text: str, language: str) -> bytes:
        base = self._settings.base_urls.get("elevenlabs") or "https://api.elevenlabs.io/v1"
        return await self._post(
            f"{base}/text-to-speech/{voice.own_id or voice.name}",
            {"xi-api-key": _key(self._settings.elevenlabs_api_key, "ELEVEN_API_KEY")},
            params={"output_format": f"pcm_{RATE}"},
            json={"text": text, "model_id": "eleven_turbo_v2_5", "language_code": language_code(language)},
        )

    async def _cartesia(self, voice: Voice, text: str, language: str) -> bytes:
        base = self._settings.base_urls.get("cartesia") or "https://api.cartesia.ai"
        body = {
            "model_id": "sonic-3",
            "transcript": text,
            "voice": {"mode": "id", "id": voice.own_id or voice.name},
            "language": language_code(language),
            "output_format": {"container": "raw", "encoding": "pcm_s16le", "sample_rate": RATE},
        }
        key = _key(self._settings.cartesia_api_key, "CARTESIA_API_KEY")
        return await self._post(
            f"{base}/tts/bytes", {"X-API-Key": key, "Cartesia-Version": "2025-04-16"}, json=body
        )

    async def _hibari(self, text: str, speed: float) -> bytes:
        try:
            return b"".join(
                [pcm async for _, pcm in self._models.synthesize(text, speed=speed, timeout=SECONDS)]
            )
        except ModelsError as error:
            raise NotHere("The voice of this machine does not answer: is the worker running?") from error

    # ── hearing ──
    async def hear(self, provider: str, sound: bytes, language: str) -> Heard:
        """The words in a file of any format. Raises `NotAudio`, `NotHere` or `NoSpeech`."""
        pcm = await asyncio.to_thread(sounds.pcm_of, sound)
        if provider == "deepgram" and self._settings.deepgram_api_key:
            return await self._deepgram_hears(pcm, language)
        if (code := whisper_language(language)) is None:
            raise NotHere(f"No recogniser here knows {language}: set DEEPGRAM_API_KEY.")
        try:
            heard = await self._models.transcribe(pcm, language=code, urgency="later", timeout=SECONDS)
        except ModelsError as error:
            raise NotHere("No recogniser answers here: set DEEPGRAM_API_KEY, or run the worker.") from error
        return Heard(heard.text, heard.confidence)

    async def _deepgram_hears(self, pcm: bytes, language: str) -> Heard:
        query = {
            "model": "nova-3",
            "language": language,
            "smart_format": "true",
            "encoding": "linear16",
            "sample_rate": str(sounds.HEARING_RATE),
            "channels": "1",
        }
        answer = await self._post(
            f"{self._deepgram_base}/v1/listen", self._deepgram_key, params=query, data=pcm
        )
        try:
            best = json.loads(answer)["results"]["channels"][0]["alternatives"][0]
            return Heard(str(best["transcript"]), float(best["confidence"]))
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise NoSpeech from error

    # ── thinking ──
    async def think(
        self,
        messages: Sequence[Mapping[str, Any]],
        model: str,
        temperature: float,
        max_tokens: int,
        functions: Sequence[Mapping[str, Any]],
    ) -> Thought:
        """One answer of an OpenAI-compatible server, else of OpenRouter. Raises `NotHere` or `NoSpeech`."""
        base, key, provider, usual = self._mind()
        name = self._settings.llm_model or model or usual
        body: dict[str, Any] = {
            "model": name,
            "messages": list(messages),
            "temperature": temperature,
            "max_completion_tokens": max_tokens,
        }
        if functions:
            body["tools"] = [{"type": "function", "function": dict(one)} for one in functions]
        answer = await self._post(
            f"{base}/chat/completions", {"Authorization": f"Bearer {key or 'none'}"}, json=body
        )
        try:
            told = json.loads(answer)
            message = told["choices"][0]["message"]
            called = [one["function"] for one in message.get("tool_calls") or ()][:1]
            return Thought(
                text=str(message.get("content") or ""),
                provider=provider,
                model=str(told.get("model") or name),
                function_call={"name": called[0]["name"], "arguments": called[0]["arguments"]}
                if called
                else None,
                usage={k: v for k, v in (told.get("usage") or {}).items() if isinstance(v, int)},
            )
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise NoSpeech("The provider's answer cannot be read.") from error

    def _mind(self) -> tuple[str, str, str, str]:
        settings = self._settings
        if settings.openai_api_key or settings.openai_base_url:
            base = settings.openai_base_url or "https://api.openai.com/v1"
            return base, settings.openai_api_key, "openai", "gpt-4.1-mini"
        base = settings.base_urls.get("openrouter") or "https://openrouter.ai/api/v1"
        key = _key(settings.openrouter_api_key, "OPENAI_API_KEY, OPENAI_BASE_URL or OPENROUTER_API_KEY")
        return base, key, "openrouter", "openrouter/auto"

    # ── the wire ──
    @property
    def _deepgram_base(self) -> str:
        return self._settings.deepgram_base_url or "https://api.deepgram.com"

    @property
    def _deepgram_key(self) -> dict[str, str]:
        return {"Authorization": f"Token {_key(self._settings.deepgram_api_key, 'DEEPGRAM_API_KEY')}"}

    async def _post(
        self, url: str, headers: Mapping[str, str], *, data: bytes | None = None, **asked: Any
    ) -> bytes:
        if self._http is None:
            self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=SECONDS, connect=5))
        try:
            async with self._http.post(url, headers=headers, data=data, **asked) as answer:
                if answer.status != 200:
                    raise NoSpeech(f"The provider answered {answer.status}.")
                body = bytearray()
                async for chunk in answer.content.iter_any():
                    body += chunk
                    if len(body) > MAX_BYTES:
                        raise NoSpeech("The provider's answer is too long.")
                return bytes(body)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise NoSpeech("The provider does not answer.") from error


def _key(key: str, name: str) -> str:
    if not key:
        raise NotHere(f"Set {name}.")
    return key


async def _espeak(text: str, language: str, speed: float) -> bytes:
    program, voice = espeak_program(), espeak_voice(language)
    if program is None or voice is None:
        raise NotHere("Install espeak-ng (apt install espeak-ng, brew install espeak-ng).")
    command = (program, "--stdout", "-b", "1", "-v", voice, "-s", str(round(165 * speed)), "--stdin")
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(SECONDS):
            wav, _ = await process.communicate(text.encode())
    except TimeoutError as error:
        raise NoSpeech("The voice of this machine took too long.") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    place = wav.find(b"data")
    return wav[place + 8 :] if place >= 0 else b""


async def _as_mp3(pcm: bytes, rate: int) -> bytes:
    if len(pcm) < 2:
        raise NoSpeech("There was no sound in it.")
    return await asyncio.to_thread(sounds.mp3_of, pcm, rate)
