"""How much of a text has been said, from how much sound there was of it."""

import re
from collections.abc import Sequence

from livekit.agents.types import TimedString

USUAL_PACE = 15.0
"""Characters a second, of a voice that nobody has heard yet."""

_WORD = re.compile(r"\S+\s*")


class Spoken:
    """One sentence on its way out.

    A voice that tells when each word is heard is believed; of the others it is reckoned from their pace
    in this call. A word that is cut in its middle counts as said: a syllable lost is less strange than a
    word said twice.
    """

    def __init__(self, text: str, pace: float | None) -> None:
        self._text = text
        self._pace = pace or USUAL_PACE
        self._timed: list[TimedString] = []
        self.seconds = 0.0
        """How much sound there was."""

    def add(self, seconds: float, timed: Sequence[TimedString]) -> None:
        """More sound, and the words in it where the voice tells."""
        self.seconds += seconds
        self._timed += timed

    @property
    def pace(self) -> float | None:
        """Characters a second, once the whole text was said; None of what is too short to tell."""
        return len(self._text.strip()) / self.seconds if self.seconds > 0.5 else None

    def rest(self) -> str:
        """What has not been said; nothing where the sentence was as good as over."""
        words = _WORD.findall(self._text)
        said = self._timed_words() if self._timed else self._reckoned_words(words)
        return "".join(words[said:])

    def _timed_words(self) -> int:
        heard = "".join(
            str(word)
            for word in self._timed
            if isinstance(word.start_time, float | int) and word.start_time < self.seconds
        )
        return len(heard.split())

    def _reckoned_words(self, words: Sequence[str]) -> int:
        characters, said = self.seconds * self._pace, 0
        for word in words:
            if characters <= 0.5:
                break
            characters -= len(word)
            said += 1
        return said
