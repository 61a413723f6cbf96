"""espeak-ng's voices, a subprocess for each piece: more than a hundred languages, and robotic."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress

from livekit.agents import APIConnectionError, APITimeoutError

from pipelines.local.languages import espeak_program, espeak_voice
from pipelines.local.voice import LocalVoice

_SAMPLE_RATE = 22_050
_WORDS_PER_MINUTE = 165
_MAX_PROCESSES = 4
_MAX_CHARACTERS = 5_000
_READ_BYTES = 16_384


class NoVoice(Exception):
    """espeak-ng is not installed, or has no voice for the language"""


class EspeakTTS(LocalVoice):
    """`language` is a BCP-47 tag; raises `NoVoice` when espeak-ng cannot speak it here.

    espeak-ng is GPL-3.0: it runs as a program of its own, which reads text and writes sound.
    """

    def __init__(self, *, language: str, speed: float = 1.0) -> None:
        super().__init__(_SAMPLE_RATE)
        program, voice = espeak_program(), espeak_voice(language)
        if program is None or voice is None:
            raise NoVoice(f"espeak-ng has no voice for {language} on this machine")
        words = round(_WORDS_PER_MINUTE * min(2.0, max(0.5, speed)))
        self._command = (program, "--stdout", "-b", "1", "-v", voice, "-s", str(words), "--stdin")
        self._voice = voice
        # A sentence takes 15 ms; more at once would only be a mistake somewhere.
        self._slots = asyncio.Semaphore(_MAX_PROCESSES)

    @property
    def model(self) -> str:
        """Name of the voice, for metrics."""
        return f"espeak-ng {self._voice}"

    async def speak(self, piece: str, timeout: float) -> AsyncGenerator[bytes, None]:
        """See `LocalVoice.speak`. The program is killed when nobody listens any more."""
        text = " ".join(piece.split())[:_MAX_CHARACTERS]
        if not any(letter.isalnum() for letter in text):
            return
        try:
            async with self._slots, asyncio.timeout(timeout):
                sound = await self._run(text)
        except TimeoutError as error:
            raise APITimeoutError from error
        except OSError as error:
            raise APIConnectionError("espeak-ng could not be started") from error
        yield sound

    async def _run(self, text: str) -> bytes:
        process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            wav, _ = await process.communicate(text.encode())
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if process.returncode != 0:
            raise APIConnectionError("espeak-ng failed")
        return _samples(wav)


def _samples(wav: bytes) -> bytes:
    """The PCM in what espeak-ng writes: it cannot know the length when it writes the header."""
    place = wav.find(b"data")
    sound = wav[place + 8 :] if place >= 0 else b""
    return sound[: len(sound) // 2 * 2]
