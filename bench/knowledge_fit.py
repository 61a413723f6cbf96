"""Fit what makes a score: the lines of `kb/calibration.py`, from the question set.

    python -m bench.knowledge_fit

A logistic regression over every pair of question and passage says how much a cosine and how much
shared words weigh. Then the bias is moved until 0.6 stands where a base does best at answering what it
can and refusing what it cannot, a question wrongly refused counting twice.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kb.calibration import ANCHORS, SURE, Calibration, alikeness
from kb.embeddings import E5Embedder, MiniLmEmbedder, Vectors
from kb.index import build
from kb.search import _Words
from tests.support.question_set import LANGUAGES, Question, heard, holds, passages, written

WRONGLY_REFUSED = 2.0
Floats = NDArray[np.float64]
EmbedNow = Callable[[Sequence[str]], Vectors]


@dataclass(frozen=True, slots=True)
class Asked:
    """One question and all passages of its business: how alike, how many words, and which are right."""

    question: Question
    cosines: Floats
    coverage: Floats
    bm25: Floats
    is_right: NDArray[np.bool_]


def features(embed: EmbedNow, languages: Sequence[str]) -> list[Asked]:
    """Of the whole question set, as far as it is in these languages."""
    businesses = [name for name, language in LANGUAGES.items() if language in languages]
    indexes = {
        name: build(passages(name), embed([each.embedded for each in passages(name)]), "fit")
        for name in businesses
    }
    questions = [each for each in [*written(), *heard()] if each.business in indexes]
    found = []
    for question, vector in zip(questions, embed([each.text for each in questions]), strict=True):
        index = indexes[question.business]
        coverage, bm25 = _Words(index, question.text).of(np.arange(len(index), dtype=np.int32))
        right = [bool(question.expected) and holds(each.text, question.expected) for each in index.passages]
        found.append(
            Asked(
                question,
                (index.vectors @ vector).astype(float),
                coverage.astype(float),
                bm25,
                np.array(right),
            )
        )
    return found


def fitted(asked: Sequence[Asked], *, by_words_alone: bool = False) -> Calibration:
    """Weights by logistic regression (Newton's method, a little ridge), then the bias by what 0.6 decides."""
    meaning = np.concatenate([each.cosines for each in asked]) * (not by_words_alone)
    words = np.concatenate([each.coverage for each in asked])
    right = np.concatenate([each.is_right for each in asked]).astype(float)
    design = np.stack([np.ones_like(words), meaning, words], axis=1)
    ridge = np.diag([0.0, 1e-2, 1e-2])
    weights = np.zeros(3)
    for _ in range(50):
        chance = 1 / (1 + np.exp(-np.clip(design @ weights, -30, 30)))
        slope = design.T @ (right - chance) - ridge @ weights
        curve = design.T @ (design * (chance * (1 - chance))[:, None]) + ridge
        weights += np.linalg.solve(curve, slope)
    _, cosine, coverage = weights
    best = max(_tops(asked, cosine, coverage), key=lambda at: _gain(asked, cosine, coverage, at))
    # A hair below, so that the question that decided is on the sure side itself.
    bias = math.log(SURE / (1 - SURE)) - best + 1e-6
    return Calibration(round(float(bias), 3), round(float(cosine), 3), round(float(coverage), 3))


def _tops(asked: Sequence[Asked], cosine: float, coverage: float) -> list[float]:
    return [float((cosine * each.cosines + coverage * each.coverage).max()) for each in asked]


def _gain(asked: Sequence[Asked], cosine: float, coverage: float, at: float) -> float:
    answered = refused = answerable = 0.0
    for each, top in zip(asked, _tops(asked, cosine, coverage), strict=True):
        if each.question.expected:
            answerable += 1
            answered += top >= at
        else:
            refused += top < at
    unanswerable = len(asked) - answerable
    return WRONGLY_REFUSED * answered / answerable + refused / max(1.0, unanswerable)


def main() -> None:
    """See the module's docstring."""
    mini, e5 = MiniLmEmbedder(), E5Embedder()
    for name, embed, languages in (
        ("MiniLM", mini.embed_now, ["en"]),
        ("e5", e5.embed_now, ["en", "tr", "es"]),
    ):
        asked = features(embed, languages)
        print(f"{name}: {fitted(asked)}")
        print(f"{name}, words alone: {fitted(asked, by_words_alone=True)}")
        questions, answers = zip(*ANCHORS, strict=True)
        print(f"{name}, anchors: {alikeness(embed(questions), embed(answers))}")


if __name__ == "__main__":
    main()
