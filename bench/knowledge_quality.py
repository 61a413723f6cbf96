"""Who finds the passage that answers, and who knows that there is none: ours beside four others."""

import json
import os
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.knowledge_fit import Asked, EmbedNow, Floats, features, fitted
from kb.calibration import SURE
from tests.support.question_set import FOLDER, LANGUAGES, Question, holds, passages

PEER = Path(__file__).parent / "peers" / "langchain_retriever.py"

Ranked = tuple[list[bool], float, int]
"""Which passages, best first, are right; the score of the best; how many characters the first three have."""


@dataclass(frozen=True, slots=True)
class Quality:
    """Of one retriever. A refusal is a best score below its threshold."""

    hit_1: float
    hit_3: float
    refusal_precision: float
    refusal_recall: float
    answered: float
    characters: float

    def row(self, name: str) -> str:
        """Of the table."""
        figures = (self.hit_1, self.hit_3, self.answered, self.refusal_precision, self.refusal_recall)
        return (
            f"| {name} | " + " | ".join(f"{figure:.0%}" for figure in figures) + f" | {self.characters:.0f} |"
        )


def quality(
    questions: Sequence[Question], ranked: Sequence[Ranked], threshold: float | None = None
) -> Quality:
    """Without a threshold, the one that suits these very questions best: a favour done to the others."""
    can = np.array([bool(each.expected) for each in questions])
    tops = np.array([top for _, top, _ in ranked])
    first = np.array([bool(right) and right[0] for right, _, _ in ranked])
    third = np.array([any(right[:3]) for right, _, _ in ranked])
    if threshold is None:
        threshold = max(
            tops.tolist(),
            key=lambda at: 2 * float((tops[can] >= at).mean()) + float((tops[~can] < at).mean()),
        )
    refused = tops < threshold
    return Quality(
        hit_1=float(first[can].mean()),
        hit_3=float(third[can].mean()),
        refusal_precision=float((refused & ~can).sum() / max(1, refused.sum())),
        refusal_recall=float(refused[~can].mean()),
        answered=float((third & ~refused)[can].mean()),
        characters=float(np.mean([characters for _, _, characters in ranked])),
    )


def ours(asked: Sequence[Asked]) -> list[Ranked]:
    """Scores whose calibration never saw the business that is asked about."""
    ranked = []
    for business in dict.fromkeys(each.question.business for each in asked):
        calibration = fitted([each for each in asked if each.question.business != business])
        ranked += [
            _by(each, calibration.scores(each.cosines, each.coverage))
            for each in asked
            if each.question.business == business
        ]
    return ranked


def _by(asked: Asked, scores: Floats) -> Ranked:
    order = np.argsort(-scores, kind="stable")
    held = passages(asked.question.business)
    characters = sum(len(held[place].text) for place in order[:3])
    return [bool(asked.is_right[place]) for place in order], float(scores[order[0]]), characters


def _reciprocal(asked: Asked) -> Ranked:
    ranks = [np.argsort(np.argsort(-each, kind="stable")) for each in (asked.cosines, asked.bm25)]
    order = sum(1 / (60 + rank) for rank in ranks)
    return _by(asked, np.asarray(order, float))


def langchain(questions: Sequence[Question], embed: EmbedNow, python: str) -> list[Ranked]:
    """Its default splitter, store and retriever, on the same texts, questions and vectors."""
    businesses = dict.fromkeys(each.business for each in questions)
    asked = {
        "documents": {name: (FOLDER / f"{name}.md").read_text(encoding="utf-8") for name in businesses},
        "questions": [[each.business, each.text] for each in questions],
    }
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with subprocess.Popen(
        [python, str(PEER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as peer:
        assert peer.stdin is not None
        assert peer.stdout is not None
        peer.stdin.write(json.dumps(asked) + "\n")
        peer.stdin.flush()
        for line in peer.stdout:
            said = json.loads(line)
            if "found" in said:
                return [
                    (
                        [bool(question.expected) and _says(text, question.expected) for text, _ in found],
                        found[0][1],
                        sum(len(text) for text, _ in found[:3]),
                    )
                    for question, found in zip(questions, said["found"], strict=True)
                ]
            peer.stdin.write(json.dumps(embed(said["embed"]).tolist()) + "\n")
            peer.stdin.flush()
    raise RuntimeError("langchain ended without an answer")


def _says(text: str, expected: str) -> bool:
    """As `holds`, and also a row of a table that it left as Markdown."""
    if holds(text, expected):
        return True
    cells = [part.partition(": ")[2] or part for part in expected.split("; ")]
    return any(all(cell in line for cell in cells) for line in text.split("\n"))


def rows(name: str, embed: EmbedNow, languages: Sequence[str], python: str | None) -> list[str]:
    """The table for one embedder: those questions that are in its languages."""
    asked = features(embed, languages)
    asked.sort(key=lambda each: list(LANGUAGES).index(each.question.business))
    questions = [each.question for each in asked]
    lines = [
        f"| **{name}**: {len(asked)} questions, {sum(not q.expected for q in questions)} without an answer, "
        f"{sum(q.was_misheard for q in questions)} misheard | | | | | | |"
    ]
    mine = ours(asked)
    lines.append(quality(questions, mine, SURE).row("**ours, at 0.6, businesses it was not fitted on**"))
    others: list[tuple[str, Callable[[Asked], Ranked]]] = [
        ("BM25 alone", lambda each: _by(each, np.asarray(each.bm25, float))),
        ("vectors alone", lambda each: _by(each, each.cosines)),
        ("both by reciprocal rank", _reciprocal),
    ]
    lines += [quality(questions, [rank(each) for each in asked]).row(other) for other, rank in others]
    if python is not None:
        lines.append(quality(questions, langchain(questions, embed, python)).row("LangChain's default"))
    for kind, chosen in (
        ("misheard", [place for place, q in enumerate(questions) if q.was_misheard]),
        ("Turkish", [place for place, q in enumerate(questions) if q.language == "tr"]),
        ("Spanish", [place for place, q in enumerate(questions) if q.language == "es"]),
    ):
        some = [questions[place] for place in chosen]
        if any(q.expected for q in some) and any(not q.expected for q in some):
            lines.append(quality(some, [mine[place] for place in chosen], SURE).row(f"ours, {kind} only"))
    return lines
