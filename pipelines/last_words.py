"""What is said when nothing here can think or speak any more: recorded, so that it needs nobody.

The recordings of `data/last_words` were spoken by the voices of `pipelines.local`
(`python -m pipelines.last_words` speaks them anew).
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from livekit import rtc
from livekit.agents import APIConnectOptions, tts

from pipelines.providers import language_code

logger = logging.getLogger(__name__)

RATE = 24_000
RENDER_SECONDS = 10.0
_FRAME = RATE // 50

WORDS = {
    "de": "Entschuldigung, wir haben gerade ein technisches Problem. Bitte rufen Sie später noch einmal an.",
    "en": "I'm sorry, we are having a technical problem right now. Please call again later.",
    "es": "Lo siento, tenemos un problema técnico en este momento. Por favor, llame más tarde.",
    "fr": "Je suis désolé, nous avons un problème technique. Merci de rappeler plus tard.",
    "it": "Mi dispiace, abbiamo un problema tecnico. La preghiamo di richiamare più tardi.",
    "nl": "Sorry, we hebben op dit moment een technisch probleem. Belt u later nog eens.",
    "pt": "Lamento, estamos com um problema técnico. Por favor, ligue mais tarde.",
    "tr": "Üzgünüm, şu anda teknik bir sorun yaşıyoruz. Lütfen daha sonra tekrar arayın.",
}


class LastWords:
    """The words and their sound. An owner's own words need a voice of this machine, and `prepare`."""

    def __init__(self, language: str, message: str, voice: tts.TTS[Any] | None) -> None:
        code = language_code(language)
        self._language = code if code in WORDS else "en"
        self._message, self._voice = message.strip(), voice
        self.text = WORDS[self._language]
        self._pcm = b""

    async def prepare(self) -> None:
        """Have the owner's own words spoken while there is somebody to speak them. Never raises."""
        if not self._message or self._voice is None:
            return
        try:
            self._pcm = await _rendered(self._voice, self._message)
            self.text = self._message
        except Exception as error:  # noqa: BLE001 - the packaged words do as well
            logger.info("last words were not spoken", extra={"error": type(error).__name__})

    async def sound(self) -> AsyncIterator[rtc.AudioFrame]:
        """Frames of 20 ms, int16 mono, 24 kHz."""
        if not self._pcm:
            self._pcm = await asyncio.to_thread(_packaged, self._language)
        for at in range(0, len(self._pcm), 2 * _FRAME):
            pcm = self._pcm[at : at + 2 * _FRAME].ljust(2 * _FRAME, b"\0")
            yield rtc.AudioFrame(pcm, RATE, 1, _FRAME)

    async def aclose(self) -> None:
        """Let the voice go."""
        if self._voice is not None:
            await self._voice.aclose()


async def _rendered(voice: tts.TTS[Any], text: str) -> bytes:
    resampler = rtc.AudioResampler(voice.sample_rate, RATE) if voice.sample_rate != RATE else None
    frames: list[rtc.AudioFrame] = []
    once = APIConnectOptions(max_retry=0, timeout=RENDER_SECONDS)
    async with asyncio.timeout(RENDER_SECONDS), voice.synthesize(text, conn_options=once) as sound:
        async for audio in sound:
            frames += resampler.push(audio.frame) if resampler else [audio.frame]
    frames += resampler.flush() if resampler else []
    return b"".join(bytes(frame.data) for frame in frames)


def _packaged(language: str) -> bytes:
    import av  # noqa: PLC0415 - only where nothing else is left

    source = resources.files("pipelines") / "data" / "last_words" / f"{language}.ogg"
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
    pcm = bytearray()
    with resources.as_file(source) as path, av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            for resampled in resampler.resample(frame):
                pcm += resampled.to_ndarray().tobytes()
    return bytes(pcm)


def _record(language: str, pcm: bytes, folder: Path) -> None:
    import av  # noqa: PLC0415

    with av.open(str(folder / f"{language}.ogg"), "w") as container:
        stream = container.add_stream("libopus", rate=RATE, layout="mono")
        stream.bit_rate = 24_000
        samples = np.frombuffer(pcm, np.int16).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate = RATE
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)


async def _record_all() -> None:
    from pipelines.local.espeak import EspeakTTS  # noqa: PLC0415

    folder = Path(__file__).parent / "data" / "last_words"
    for language, words in WORDS.items():
        voice = EspeakTTS(language=language, speed=0.95)
        _record(language, await _rendered(voice, words), folder)


if __name__ == "__main__":
    asyncio.run(_record_all())
