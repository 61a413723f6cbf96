"""hibari's English voice, asked of the models process."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

from livekit.agents import APIConnectionError

from pipelines.local.clauses import speakable
from pipelines.local.client import ModelsClient
from pipelines.local.voice import LocalVoice
from pipelines.local.wire import BadRequest, ModelsError, ModelUnavailable

_SAMPLE_RATE = 24_000


class HibariTTS(LocalVoice):
    """English at 24 kHz, the first sound about 30 ms after the first clause. `speed` is 0.5 to 2."""

    def __init__(self, models_socket: Path, *, speed: float = 1.0) -> None:
        super().__init__(_SAMPLE_RATE)
        self._client = ModelsClient(models_socket)
        self._speed = min(2.0, max(0.5, speed))

    @property
    def model(self) -> str:
        """Name of the model, for metrics."""
        return "hibari"

    async def speak(self, piece: str, timeout: float) -> AsyncGenerator[bytes, None]:
        """See `LocalVoice.speak`."""
        if not (text := speakable(piece)):
            return
        try:
            async with aclosing(self._client.synthesize(text, speed=self._speed, timeout=timeout)) as sound:
                async for _rate, pcm in sound:
                    yield pcm
        except ModelsError as error:
            raise APIConnectionError(
                str(error), retryable=not isinstance(error, ModelUnavailable | BadRequest)
            ) from error

    async def aclose(self) -> None:
        """Drop the connection to the models process."""
        await self._client.aclose()
