"""What callers ask any business, and how owners put the answer: a bridge where neither shares a word.

    "I think I forgot my scarf there"  ~  asked: "I left my jacket"
                                          topic: lost property
    "Lost things stay in the box"      ~  stated: "Lost property is kept at the desk"

Questions are compared with questions and statements with statements, which an embedder does far better
than a question with its answer. `data/topics.txt` holds both kinds; `data/topics.npz` their vectors,
made by `python -m bench.answer_weights --topics`.
"""

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import as_file, files

import numpy as np
from numpy.typing import NDArray

from kb.embeddings import MiniLmEmbedder

SPACE = MiniLmEmbedder.space
"""The model of the vectors; a question's must be of the same."""

_SPREAD = 0.1
_DATA = files("pipelines.local.scripted") / "data"

Likenesses = NDArray[np.float32]
"""Shape (topics,): how near a text comes to each."""


@dataclass(frozen=True)
class Topics:
    """The vectors, and of which topic each is."""

    asked: NDArray[np.float32]
    asked_of: NDArray[np.int64]
    stated: NDArray[np.float32]
    stated_of: NDArray[np.int64]

    def of_question(self, vector: NDArray[np.float32]) -> Likenesses:
        """How near a question comes to what is asked in each topic."""
        return _best_of(self.asked @ vector, self.asked_of)

    def of_fact(self, vector: NDArray[np.float32]) -> Likenesses:
        """How near a statement comes to what is stated in each topic."""
        return _best_of(self.stated @ vector, self.stated_of)


@lru_cache(maxsize=1)
def topics() -> Topics:
    """The packaged ones, read once."""
    with as_file(_DATA / "topics.npz") as path, np.load(path) as held:
        return Topics(
            held["asked"].astype(np.float32),
            held["asked_of"],
            held["stated"].astype(np.float32),
            held["stated_of"],
        )


def shared(question: Likenesses, fact: Likenesses) -> tuple[float, float]:
    """How much of a topic both are: of the one they share best, and over all that the question may be."""
    best = float(np.minimum(question, fact).max())
    share = np.exp((question - question.max()) / _SPREAD)
    return best, float((share / share.sum()) @ fact)


def written() -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
    """What `topics.txt` holds: (topic, question) and (topic, statement)."""
    asked: list[tuple[int, str]] = []
    stated: list[tuple[int, str]] = []
    topic = -1
    for line in (_DATA / "topics.txt").read_text("utf-8").splitlines():
        if line.startswith(("? ", "= ")):
            held = asked if line[0] == "?" else stated
            held += [(topic, text.strip()) for text in line[2:].split("|")]
        elif line and not line.startswith("#"):
            topic += 1
    return asked, stated


def digest() -> str:
    """Changes with the texts: vectors of other texts are no vectors of these."""
    return hashlib.sha256((_DATA / "topics.txt").read_bytes()).hexdigest()


def _best_of(likenesses: NDArray[np.float32], topic_of: NDArray[np.int64]) -> Likenesses:
    best = np.full(int(topic_of.max()) + 1, -1.0, np.float32)
    np.maximum.at(best, topic_of, likenesses)
    return best
