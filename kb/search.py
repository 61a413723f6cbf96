"""Question in, ranked passages out: what it means and which words it has, together."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from kb.calibration import SURE, WORDS_ALONE
from kb.chunking import Passage
from kb.index import Floats, Index, Ints
from kb.words import question_terms

_K1 = 1.2
_B = 0.6
_EXACT = 4_000
"""Up to so many passages every vector is compared; past it, only those whose signs are alike."""
_BY_MEANING = (300, 600)
"""Candidates at least and at most: a fiftieth of the base between. Each costs a microsecond."""
_BY_WORDS = 100
_BY_WORDS_ALONE = 1_000
_SAMPLE = 8_192
_SCANNED = 20_000
"""Postings that are read to find candidates; past it, common words only weigh what rarer ones found."""
_QUESTION_WORDS = 64
_UNSURE = 1e-3
"""What is left of the doubt in a passage that has the very number that was asked for."""


@dataclass(frozen=True, slots=True)
class Found:
    """A passage and how well it fits, 0 to 1: from 0.6 on (`calibration.SURE`) it is sure enough.

    Why: `cosine` is how alike the meanings are (None when nobody compared them), `coverage` which part
    of the question's words the passage has, rare ones weighing more, and `matched` which words.
    `number` is the passage's place in the index.
    """

    passage: Passage
    score: float
    cosine: float | None = None
    coverage: float = 0.0
    matched: tuple[str, ...] = ()
    number: int = 0
    reranked: float | None = None

    def explain(self) -> str:
        """Why it has this score, in one line for its owner."""
        sure = "sure enough" if self.score >= SURE else "not sure enough"
        meaning = "no vectors" if self.cosine is None else f"meaning {self.cosine:.2f}"
        words = f"words {self.coverage:.0%}" + (f" ({', '.join(self.matched)})" if self.matched else "")
        judged = "" if self.reranked is None else f", reranked {self.reranked:.2f}"
        return f"{self.score:.2f}, {sure}: {meaning}, {words}{judged}"


def search(
    index: Index,
    question: str,
    vector: Floats | None = None,
    *,
    top_k: int = 3,
    sources: Collection[str] | None = None,
) -> list[Found]:
    """The best passages, best first. `vector` is the question's, shape (dimensions,), or None.

    `sources` leaves only passages of these. Raises ValueError for a vector of another length.
    """
    if not len(index) or top_k < 1:
        return []
    allowed = None if sources is None else _allowed(index, sources)
    words = _Words(index, question)
    if vector is None or not index.dimensions:
        numbers = words.candidates(
            max(_BY_WORDS_ALONE, 20 * top_k), allowed, scanned=len(index) * _QUESTION_WORDS
        )
        cosines = None
    else:
        vector = np.asarray(vector, np.float32).reshape(-1)
        if len(vector) != index.dimensions:
            raise ValueError("the question's vector is of another space")
        numbers, cosines = _by_meaning(index, vector, words, max(_enough(len(index)), 20 * top_k), allowed)
    return _ranked(index, words, numbers, cosines, top_k)


def _ranked(index: Index, words: "_Words", numbers: Ints, cosines: Floats | None, top_k: int) -> list[Found]:
    coverage, bm25 = words.of(numbers)
    # No vector, on either side: nothing of it is 0 to the last digit. Words alone have a scale of their own.
    scores = np.where(coverage > 0, WORDS_ALONE.scores(coverage, coverage), 0)
    if cosines is not None:
        scores = np.where(cosines == 0, scores, index.calibration.scores(cosines, coverage))
        # Rooms 7 and 13 mean nearly the same: of what is sure enough, what has the number comes first.
        scores = np.where((scores >= SURE) & words.numbered(numbers), 1 - (1 - scores) * _UNSURE, scores)
    # Equal scores: the passage that says it more often, and shorter; then the earlier one.
    best = np.lexsort((numbers, -(scores + 1e-4 * bm25)))[:top_k]
    return [
        Found(
            passage=index.passage(int(numbers[place])),
            score=float(scores[place]),
            cosine=None if cosines is None or cosines[place] == 0 else float(cosines[place]),
            coverage=float(coverage[place]),
            matched=words.matched(int(numbers[place])),
            number=int(numbers[place]),
        )
        for place in best
        if scores[place] > 0
    ]


def _by_meaning(
    index: Index, vector: Floats, words: "_Words", most: int, allowed: NDArray[np.bool_] | None
) -> tuple[Ints, Floats]:
    """Candidates, and how alike each is to the question: exactly, whoever found it."""
    if len(index) <= _EXACT:
        cosines = index.vectors @ vector
        if allowed is None:
            return np.arange(len(index), dtype=np.int32), cosines
        numbers = np.flatnonzero(allowed).astype(np.int32)
        return numbers, cosines[numbers]
    near = _nearest(index, vector, most, allowed)
    numbers = np.union1d(near, words.candidates(_BY_WORDS, allowed)).astype(np.int32)
    return numbers, index.vectors[numbers] @ vector


def _enough(passages: int) -> int:
    fewest, most = _BY_MEANING
    return min(most, max(fewest, passages // 50))


def _nearest(index: Index, vector: Floats, most: int, allowed: NDArray[np.bool_] | None) -> Ints:
    """Numbers of the passages whose signs differ least from the question's."""
    code = index.code_of(vector)
    apart = np.bitwise_count(index.codes[0] ^ code[0]).astype(np.uint16)
    for row, part in zip(index.codes[1:], code[1:], strict=True):
        apart += np.bitwise_count(row ^ part)
    if allowed is not None:
        apart[~allowed] = np.iinfo(np.uint16).max
        most = min(most, int(allowed.sum()))
    if most >= len(apart):
        return np.arange(len(apart), dtype=np.int32)
    # Where the nearest end is read off a sample: putting all of them in order costs four times as much.
    sample = apart[:: len(apart) // _SAMPLE + 1]
    at = min(len(sample) - 1, most * len(sample) // len(apart))
    near = np.flatnonzero(apart <= np.partition(sample, at)[at])
    if not most // 2 <= len(near) <= 4 * most:
        near = np.argpartition(apart, most)[:most]
    return near.astype(np.int32)


def _allowed(index: Index, sources: Collection[str]) -> NDArray[np.bool_]:
    wanted = [place for place, source in enumerate(index.sources) if source in sources]
    chosen: NDArray[np.bool_] = np.isin(index.source_of, np.array(wanted, np.int32))
    return chosen


@dataclass(frozen=True, slots=True)
class _Term:
    word: str
    rarity: float
    holders: Ints
    counts: Floats


class _Words:
    """A question's words and where they stand."""

    def __init__(self, index: Index, question: str) -> None:
        self._index = index
        found = []
        for word in list(dict.fromkeys(question_terms(question)))[:_QUESTION_WORDS]:
            holders, counts = index.postings(word)
            found.append(_Term(word, index.rarity(len(holders)), holders, counts))
        self._terms = sorted(found, key=lambda term: -term.rarity)
        self._mass = sum(term.rarity for term in found)

    def candidates(self, most: int, allowed: NDArray[np.bool_] | None, scanned: int = _SCANNED) -> Ints:
        """At most so many passages with the question's words, the most telling ones."""
        weights = np.zeros(len(self._index), np.float32)
        for place, term in enumerate(self._terms):
            scanned -= len(term.holders)
            if scanned < 0 and place:
                break
            weights[term.holders] += self._weights(term, term.holders, term.counts)
        if allowed is not None:
            weights[~allowed] = 0
        holding = np.flatnonzero(weights)
        if len(holding) <= most:
            return holding.astype(np.int32)
        return holding[np.argpartition(-weights[holding], most)[:most]].astype(np.int32)

    def of(self, numbers: Ints) -> tuple[Floats, Floats]:
        """Of each passage: which part of the question's words it has, by rarity, and its BM25."""
        coverage = np.zeros(len(numbers), np.float32)
        bm25 = np.zeros(len(numbers), np.float32)
        for term in self._terms:
            if not len(term.holders):
                continue
            places = np.searchsorted(term.holders, numbers)
            places[places == len(term.holders)] = 0
            has = np.flatnonzero(term.holders[places] == numbers)
            coverage[has] += term.rarity
            bm25[has] += self._weights(term, numbers[has], term.counts[places[has]])
        return coverage / np.float32(max(self._mass, 1e-9)), bm25

    def numbered(self, numbers: Ints) -> NDArray[np.bool_]:
        """Which passages have all numbers and codes of the question, and something of what they number.

        Of those that any passage has: "20 friends" is not "from 8 to 20", and 4711 alone is enough.
        """
        held = [term for term in self._terms if len(term.holders)]
        asked = [term for term in held if any(map(str.isdigit, term.word))]
        if not asked:
            return np.zeros(len(numbers), np.bool_)
        others = [_holds(term, numbers) for term in held if not any(map(str.isdigit, term.word))]
        has: NDArray[np.bool_] = np.logical_and.reduce([_holds(term, numbers) for term in asked])
        return has & np.logical_or.reduce(others) if others else has

    def matched(self, number: int) -> tuple[str, ...]:
        """Which of the question's words a passage has, the rarest first."""
        wanted = np.int32(number)  # a wider type would have numpy widen all holders first
        places = [(term, int(term.holders.searchsorted(wanted))) for term in self._terms]
        return tuple(
            term.word
            for term, place in places
            if place < len(term.holders) and int(term.holders[place]) == number
        )

    def _weights(self, term: _Term, numbers: Ints, counts: Floats) -> Floats:
        norm = _K1 * (1 - _B + _B * self._index.lengths[numbers] / self._index.mean_length)
        weights = np.float32(term.rarity) * counts * np.float32(_K1 + 1) / (counts + norm)
        return weights.astype(np.float32)


def _holds(term: _Term, numbers: Ints) -> NDArray[np.bool_]:
    places = np.searchsorted(term.holders, numbers)
    places[places == len(term.holders)] = 0
    has: NDArray[np.bool_] = term.holders[places] == numbers
    return has


class Reranker(Protocol):
    """Whatever reads question and passage together and judges, slower and better than a search."""

    async def judge(self, question: str, texts: Sequence[str]) -> Sequence[float]:
        """How well each text answers, 0 to 1 with 0.6 as sure enough, in order."""


async def rerank(reranker: Reranker, question: str, found: Sequence[Found]) -> list[Found]:
    """The same passages by a reranker's judgement; what the search thought of them stays to be read."""
    judged = await reranker.judge(question, [each.passage.embedded for each in found])
    again = [
        replace(each, score=min(1.0, max(0.0, float(score))), reranked=float(score))
        for each, score in zip(found, judged, strict=True)
    ]
    return sorted(again, key=lambda each: -each.score)
