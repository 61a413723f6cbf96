"""What a space's numbers are worth: how alike and how many words make "sure enough"."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kb.embeddings import Embedder, Vectors

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

    def score(self, number: float) -> float:
        """0 to 1 for one number, words aside."""
        return float(self.scores(np.array([number]), np.zeros(1))[0])

    def scores(self, cosines: NDArray[np.floating[Any]], coverage: NDArray[np.floating[Any]]) -> NDArray[Any]:
        """0 to 1 for each pair."""
        sums: NDArray[Any] = self.bias + self.meaning * cosines + self.words * coverage
        return np.asarray(1 / (1 + np.exp(-np.clip(sums, -30, 30))))


# All of these were fitted on tests/knowledge by `python -m bench.knowledge_fit`, which prints them.
WORDS_ALONE = Calibration(bias=-0.105, meaning=0.0, words=8.171)
_KNOWN: Mapping[str, Calibration] = {
    "all-MiniLM-L6-v2": Calibration(bias=-3.342, meaning=11.388, words=4.795),
    "multilingual-e5": Calibration(bias=-36.414, meaning=45.338, words=5.922),
}


ANCHORS: Sequence[tuple[str, str]] = (
    ("When are you open?", "Our shop is open from nine to six on weekdays and until noon on Saturday."),
    ("How much is a haircut?", "A cut with washing costs 35 euros, a colour 80 euros."),
    ("Where can I park?", "There is a garage behind the building; the first hour is free."),
    ("Can I bring my dog?", "Animals must stay outside, except guide dogs."),
    ("How do I reset my password?", "Choose forgotten password and follow the link that we mail to you."),
    ("Do you deliver on Sundays?", "Parcels arrive within two working days, Monday to Saturday."),
    ("What happens if I cancel?", "Up to two days before the date you get all of your money back."),
    ("Is breakfast included?", "The buffet in the morning is part of the price of every room."),
    ("Who is the doctor for children?", "Mrs. Lang treats babies and schoolchildren every Tuesday."),
    (
        "Does the guarantee cover a broken screen?",
        "Damage by falling is not part of the warranty of two years.",
    ),
    ("¿Aceptan tarjeta?", "Se puede pagar en efectivo, con tarjeta o por transferencia."),
    ("Randevumu nasıl iptal ederim?", "Görüşmenizi bir gün önceye kadar telefonla iptal edebilirsiniz."),
    ("Wie komme ich zu Ihnen?", "Vom Bahnhof sind es fünf Minuten zu Fuß bis zu unserem Haus."),
    ("Avez-vous des plats végétariens?", "La carte propose quatre plats sans viande ni poisson."),
)
"""Questions and what answers each: how alike a space finds those, and those that do not belong together."""
_ANCHORED = ("all-MiniLM-L6-v2", 0.4827, 0.0319)
"""A space whose calibration is fitted, and its `alikeness`: the yardstick for one that nobody fitted."""


def alikeness(questions: Vectors, answers: Vectors) -> tuple[float, float]:
    """How alike anchors are that belong together, and that do not; the middle of each."""
    every = questions @ answers.T
    apart = every[~np.eye(len(every), dtype=bool)]
    return round(float(np.median(np.diag(every))), 4), round(float(np.median(apart)), 4)


async def measured(embedder: Embedder) -> Calibration:
    """A calibration for an embedder that nobody fitted, from where it puts `ANCHORS`; a known one as it is.

    Its cosines are stretched over those of a space that was fitted on the question set, so that
    "belongs together" and "has nothing to do with it" lie at the same scores. One batch of short texts.
    """
    if fitted := _fitted(embedder.space):
        return fitted
    questions, answers = zip(*ANCHORS, strict=True)
    together, apart = alikeness(await embedder.embed(questions), await embedder.embed(answers))
    return replace(stretched(max(together, apart + 0.01), apart), words=_KNOWN[_ANCHORED[0]].words)


def stretched(together: float, apart: float) -> Calibration:
    """A calibration of any numbers, by what they are for anchors that belong together, and lower for others.

    Of meaning alone: those that belong together come to lie at 0.90, the others at 0.05.
    """
    name, as_together, as_apart = _ANCHORED
    yardstick = _KNOWN[name]
    meaning = yardstick.meaning * (as_together - as_apart) / (together - apart)
    bias = yardstick.bias + yardstick.meaning * as_apart - meaning * apart
    return Calibration(bias, meaning, 0.0)


def known(space: str) -> Calibration:
    """A space's calibration: "" is words alone; one that nobody fitted gets MiniLM's (see `measured`)."""
    return (_fitted(space) or _KNOWN["all-MiniLM-L6-v2"]) if space else WORDS_ALONE


def _fitted(space: str) -> Calibration | None:
    return next((known for name, known in _KNOWN.items() if space.startswith(name)), None)
