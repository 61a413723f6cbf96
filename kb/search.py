"""Question in, ranked passages out: what it means and which words it has, together."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kb.chunking import Passage
from kb.index import Floats, Index
from kb.words import terms

_K1 = 1.2
_B = 0.6
_WORDS_WEIGHT = 0.55
"""How far shared words alone can lift a score towards 1."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """How a space's cosines become scores: `even` scores 0.5, and `slope` is how fast that changes."""

    even: float = 0.32
    slope: float = 10.0


# Measured on MiniLM: off-topic questions 0.10-0.25, right passages 0.26-0.65.
_CALIBRATIONS = {"multilingual-e5": Calibration(even=0.80, slope=30.0)}


@dataclass(frozen=True, slots=True)
class Found:
    """A passage and how well it fits, 0 to 1; from about 0.6 on it is likely to hold the answer."""

    passage: Passage
    score: float


def search(index: Index, question: str, vector: Floats | None = None, *, top_k: int = 3) -> list[Found]:
    """The best passages, best first. `vector` is the question's, shape (dimensions,), or None."""
    total = len(index.passages)
    if total == 0 or top_k < 1:
        return []
    bm25, coverage = _words(index, question)
    if vector is None or index.vectors.shape[1] == 0:
        scores = coverage
    else:
        calibration = next(
            (known for name, known in _CALIBRATIONS.items() if index.space.startswith(name)), Calibration()
        )
        cosines = index.vectors @ np.asarray(vector, np.float32).reshape(-1)
        meaning = 1 / (1 + np.exp(-calibration.slope * (cosines - calibration.even)))
        scores = meaning + (1 - meaning) * _WORDS_WEIGHT * coverage**2
    ranks = scores + 1e-4 * bm25  # equal scores: the passage that says it more often, and shorter
    best = np.argsort(-ranks, kind="stable")[:top_k]
    return [Found(index.passages[i], float(min(1.0, scores[i]))) for i in best if scores[i] > 0]


def _words(index: Index, question: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """BM25 of each passage, and which part of the question's words it holds (0..1, rare words weigh more)."""
    total = len(index.passages)
    bm25 = np.zeros(total)
    held = np.zeros(total)
    mass = 0.0
    mean_length = max(1.0, float(index.lengths.mean()))
    for term in dict.fromkeys(terms(question)):
        rarity = index.rarity(term)
        mass += rarity
        number = index.vocabulary.get(term)
        if number is None:
            continue
        span = slice(int(index.starts[number]), int(index.starts[number + 1]))
        holders, counts = index.holders[span], index.counts[span]
        norm = _K1 * (1 - _B + _B * index.lengths[holders] / mean_length)
        bm25[holders] += rarity * counts * (_K1 + 1) / (counts + norm)
        held[holders] += rarity
    return bm25, held / mass if mass else held
