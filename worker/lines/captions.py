"""The agent's words in step with its voice: a transcript holds what was heard and not what was made."""

from livekit.agents.voice import io
from livekit.agents.voice.transcription import TranscriptSynchronizer
from livekit.agents.voice.transcription._speaking_rate import SpeakingRateDetector

PACE_SECONDS = 0.3
"""LiveKit's 0.1 s is a tenth of what a call costs, for a transcript that is cut at the same word."""


def in_step(output: io.AudioOutput) -> TranscriptSynchronizer:
    """Between a session and where its voice goes; the words go nowhere."""
    captions = TranscriptSynchronizer(
        next_in_chain_audio=output, next_in_chain_text=_Nowhere(label="Phone", next_in_chain=None)
    )
    # How quickly the voice speaks is looked at so often by a Fourier transform of a second each time.
    captions._opts.speaking_rate_detector = SpeakingRateDetector(step_size=PACE_SECONDS)
    return captions


class _Nowhere(io.TextOutput):
    async def capture_text(self, text: str) -> None:
        """Nobody reads."""

    def flush(self) -> None:
        """Nobody reads."""
