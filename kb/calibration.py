"""What a space's numbers are worth: how alike and how many words make "sure enough"."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

SURE = 0.6
"""A score from which on a passage is sure enough to be answered from, in every space."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """A score is the logistic of `bias + meaning * cosine + words * coverage`.

    `coverage` is the part of a question's words that a passage holds, rare ones weighing more (0-1).
    """

    bias: float
    meaning: float
    words: float

    def to_dict(self) -> dict[str, float]:
        """For a file's header."""
        return asdict(self)

    def scores(self, cosines: NDArray[np.floating[Any]], coverage: NDArray[np.floating[Any]]) -> NDArray[Any]:
        """0 to 1 for each pair."""
        sums: NDArray[Any] = self.bias + self.meaning * cosines + self.words * coverage
        return np.asarray(1 / (1 + np.exp(-np.clip(sums, -30, 30))))


WORDS_ALONE = Calibration(bias=-2.2, meaning=0.0, words=5.0)
# Fitted on tests/knowledge by `python -m bench.knowledge_fit`, which prints these lines.
_KNOWN: Mapping[str, Calibration] = {
    "all-MiniLM-L6-v2": Calibration(bias=-3.6, meaning=9.0, words=2.0),
    "multilingual-e5": Calibration(bias=-25.0, meaning=30.0, words=2.0),
}


def known(space: str) -> Calibration:
    """A space's calibration: "" is words alone; a space nobody measured gets MiniLM's."""
    if not space:
        return WORDS_ALONE
    return next(
        (known for name, known in _KNOWN.items() if space.startswith(name)), _KNOWN["all-MiniLM-L6-v2"]
    )
