"""What each reason weighs when the scripted engine chooses a fact: fitted, and judged on agents left out.

    python -m bench.answer_weights             prints how well agents are answered that were not fitted on
    python -m bench.answer_weights --write     writes pipelines/local/scripted/data/weights.json, too
    python -m bench.answer_weights --topics    writes the vectors of data/topics.txt, first of all

A ridge regression of log odds over every fact considered for every question of `tests/support/strangers*`,
asked once with all facts and once without those that answer it. Only the models' likenesses are learned
from one business to another, so each business is judged by weights that never saw it.
"""

import argparse
import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kb.chunking import passages
from kb.embeddings import MiniLmEmbedder
from kb.reranking import MsMarcoRanker
from pipelines.local.scripted import questions, topics
from pipelines.local.scripted.facts import Fact, passages_as_facts
from pipelines.local.scripted.meaning import Meanings
from pipelines.local.scripted.prompts import read_prompt
from pipelines.local.scripted.reasons import Reasons, candidates
from pipelines.local.scripted.support import heard_right
from tests.support.every_stranger import EVERY_STRANGER
from tests.support.strangers import Stranger

DATA = Path(__file__).resolve().parents[1] / "pipelines" / "local" / "scripted" / "data"
TODAY = date(2026, 11, 23)
PRIOR = {"of_day": 2.5, "lists_it": 2.8, "another_price": -1.0, "says_it_itself": 1.2}
"""Too rare among the questions to be learned: kept near these; all others are drawn towards nothing."""
BY_HAND = {"of_the_house": 4.0}
"""What names nothing ("When are you open?") is answered by several facts: no one is right."""
RIDGE = 0.3
RIDGE_OF_PRIOR = 30.0
WRONG_ALLOWED = 0.013
"""The threshold is the lowest at which at most this share of all questions got a wrong fact, left out."""
JUDGEMENTS = ("judged", "judged_ahead")
Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Asked:
    """One question with the facts considered for it. `is_real`: with its answer among them, if it has one."""

    agent: str
    question: str
    is_real: bool
    has_answer: bool
    considered: list[tuple[Fact, Reasons]]
    right: Vector


@dataclass(frozen=True)
class Choice:
    """The surest fact of a question, by weights that did not see its agent."""

    asked: Asked
    sure: float
    is_right: bool
    fact: str


async def examples(strangers: Sequence[Stranger]) -> list[Asked]:
    """Every question of every stranger, with and without its answer."""
    meanings = Meanings(MiniLmEmbedder(), MsMarcoRanker(), capacity=100_000)
    found: list[Asked] = []
    for stranger in strangers:
        facts = list(read_prompt(stranger.instructions).facts)
        for title, text in stranger.knowledge:
            pieces = [{"title": piece.title, "text": piece.text} for piece in passages("", title, text)]
            facts += passages_as_facts(pieces)
        facts = list(dict.fromkeys(facts))
        await meanings.learn([fact.text for fact in facts])
        for text, expected in (*stranger.judged, *stranger.held_out):
            options = [option for part in expected for option in part.split("|")]
            answers = {fact for fact in facts if any(option in fact.text for option in options)}
            for question in questions.read_all(text, None, TODAY):
                for known in [facts, [fact for fact in facts if fact not in answers]][: 1 + bool(answers)]:
                    considered = await candidates(heard_right(question, known), known, meanings)
                    right = np.array([fact in answers for fact, _ in considered], np.float64)
                    if considered and not any(reasons["of_the_house"] for _, reasons in considered):
                        is_real = known is facts
                        asked = Asked(stranger.name, text, is_real, bool(answers), considered, right)
                        found.append(asked)
    return found


def matrix(asked: Asked, names: Sequence[str]) -> Vector:
    """Shape (facts, reasons and one)."""
    rows = [[*(reasons[name] for name in names), 1.0] for _, reasons in asked.considered]
    return np.array(rows, np.float64).reshape(-1, len(names) + 1)


def fit(inputs: Sequence[Vector], right: Sequence[Vector], names: Sequence[str]) -> Vector:
    """Weights by Newton's method: the ridge regression's only minimum."""
    x, y = np.concatenate(inputs), np.concatenate(right)
    prior = np.array([*(PRIOR.get(name, 0.0) for name in names), 0.0])
    ridge = np.array([*(RIDGE_OF_PRIOR if name in PRIOR else RIDGE for name in names), 0.01])
    weights = prior.copy()
    for _ in range(30):
        p = 1 / (1 + np.exp(-(x @ weights)))
        slope = x.T @ (p - y) + ridge * (weights - prior)
        curve = (x * (p * (1 - p))[:, None]).T @ x + np.diag(ridge)
        weights -= np.linalg.solve(curve, slope)
    return weights


def left_out(asked: list[Asked], names: Sequence[str]) -> list[Choice]:
    """Each agent's questions, answered by weights of all the others."""
    inputs = [matrix(each, names) for each in asked]
    choices: list[Choice] = []
    for agent in dict.fromkeys(each.agent for each in asked):
        others = [number for number, each in enumerate(asked) if each.agent != agent]
        weights = fit([inputs[n] for n in others], [asked[n].right for n in others], names)
        for number, each in enumerate(asked):
            if each.agent == agent:
                sure = inputs[number] @ weights
                best = int(np.argmax(sure))
                fact = each.considered[best][0].text
                choices.append(Choice(each, float(sure[best]), bool(each.right[best]), fact))
    return choices


def threshold(choices: Sequence[Choice]) -> float:
    """The lowest at which few enough questions get a wrong fact."""
    real = sorted((each for each in choices if each.asked.is_real), key=lambda each: -each.sure)
    allowed = int(WRONG_ALLOWED * len(real))
    wrong = [each.sure for each in real if not each.is_right]
    floor = wrong[allowed] + 0.02 if len(wrong) > allowed else real[-1].sure
    return round(floor, 1)


def report(choices: Sequence[Choice], accept: float) -> str:
    """One line."""
    real = [each for each in choices if each.asked.is_real]
    known = [each for each in real if each.asked.has_answer]
    spoken = [each for each in real if each.sure >= accept]
    right = sum(each.is_right for each in spoken)
    asked_without = [each for each in choices if not each.asked.is_real]
    near = sum(each.sure >= accept for each in asked_without)
    return (
        f"at {accept:+.2f}: {right} of {len(known)} known answered, {len(spoken) - right} wrong facts in "
        f"{len(real)} questions; {near} of {len(asked_without)} answered although the answer was taken away"
    )


async def main() -> None:
    """As the module says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--topics", action="store_true")
    parser.add_argument("--show", action="store_true", help="print every question that is answered wrongly")
    options = parser.parse_args()
    if options.topics:
        asked_texts, stated_texts = topics.written()
        embedder = MiniLmEmbedder()
        np.savez_compressed(
            DATA / "topics.npz",
            asked=embedder.embed_now([text for _, text in asked_texts]).astype(np.float16),
            asked_of=np.array([topic for topic, _ in asked_texts]),
            stated=embedder.embed_now([text for _, text in stated_texts]).astype(np.float16),
            stated_of=np.array([topic for topic, _ in stated_texts]),
            digest=topics.digest(),
        )
        return
    asked = await examples(EVERY_STRANGER)
    every = [name for name in asked[0].considered[0][1] if name not in BY_HAND]
    scales: dict[str, Any] = {}
    for label, names in (
        ("judged", every),
        ("unjudged", [name for name in every if name not in JUDGEMENTS]),
    ):
        choices = left_out(asked, names)
        accept = threshold(choices)
        print(label, report(choices, accept))
        for shift in (-0.5, 0.5):
            print("   ", report(choices, accept + shift))
        if options.show:
            for each in sorted(choices, key=lambda each: -each.sure):
                is_wrong = each.sure >= accept - 0.5 and not each.is_right and each.asked.is_real
                is_missed = each.sure < accept and each.asked.has_answer and each.asked.is_real
                if is_wrong or is_missed:
                    kind = "wrong" if is_wrong else "missed"
                    print(
                        "   ",
                        kind,
                        f"{each.sure:+.2f}",
                        each.asked.agent,
                        "|",
                        each.asked.question,
                        "->",
                        each.fact,
                    )
        weights = fit([matrix(each, names) for each in asked], [each.right for each in asked], names)
        rounded = {name: round(float(w), 2) for name, w in zip(names, weights[:-1], strict=True)}
        scales[label] = {"weights": rounded | BY_HAND, "bias": round(float(weights[-1]), 2), "accept": accept}
    if options.write:
        (DATA / "weights.json").write_text(json.dumps(scales, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    asyncio.run(main())
