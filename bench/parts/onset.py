"""A recogniser that knows what is said and hears only when it begins: no label comes by telephone.

Callers say `SCRIPT` again and again. Where the sound begins the next of its utterances begins, and its words
are final at its last sound, to the frame; so what is measured after that is nobody's but ours.
"""

import functools

import numpy as np
from livekit import rtc
from livekit.agents import APIConnectOptions, stt
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, NOT_GIVEN, NotGivenOr

from bench.parts.oracle import LONG, SHORT, OracleStream, OracleSTT, ToneVoice
from bench.parts.script import RATE, utterances
from tests.support.fake_providers import FakeParts, TableLLM

SCRIPT = ("long", "short", "stop", "knowledge", "noise")
"""The answer to "short" is long, and "stop" breaks into it; all are whole sentences."""
BARGED_IN = "short"
ONSET = 400
"""A sample above this is speech; what a line sounds like on which nobody speaks stays far below."""

AFTER_SECONDS = 0.15
"""For so long after its end what is heard still belongs to an utterance."""


class OnsetSTT(OracleSTT):
    """Hears one call."""

    def __init__(self) -> None:
        super().__init__()
        self.said = 0
        self.deaf_until = 0.0

    def stream(
        self,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
    ) -> stt.RecognizeStream:
        """Listen from now on."""
        return _Stream(self, conn_options)


class _Stream(OracleStream):
    def __init__(self, ears: OnsetSTT, conn_options: APIConnectOptions) -> None:
        super().__init__(ears, conn_options)
        self._ears = ears

    def heard(self, frame: rtc.AudioFrame) -> None:
        """A frame came: does something begin in it?"""
        if self._ears.labels or self._heard < self._ears.deaf_until:
            return
        loud = np.flatnonzero(np.abs(np.frombuffer(frame.data, np.int16)) > ONSET)
        if len(loud):
            self._ears.clock = self._heard - frame.duration + float(loud[0]) / RATE
            said = utterances()[SCRIPT[self._ears.said % len(SCRIPT)]]
            self._ears.label(said.stretches)
            self._ears.deaf_until = self._ears.clock + said.end + AFTER_SECONDS
            self._ears.said += 1


def parts() -> FakeParts:
    """Ears, mind and voice of every call."""
    answers = {utterances()[name].stretches[0].text: LONG if name == BARGED_IN else SHORT for name in SCRIPT}
    return FakeParts(ears=OnsetSTT, mind=functools.partial(TableLLM, answers), voice=ToneVoice)
