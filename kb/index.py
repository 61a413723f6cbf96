"""One base of knowledge: its passages, their vectors and their words, in one file to be mapped."""

import json
import math
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kb.chunking import Passage
from kb.words import terms

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]

_MAGIC = b"call2mekb\x00\x00\x00\x00\x00\x00\x01"
_ALIGN = 64


class BrokenIndex(Exception):
    """This file is not an index of knowledge that this version can read"""


@dataclass(frozen=True, slots=True)
class Index:
    """A base that can be searched. Immutable; safe to share between threads.

    `vectors` is float32 of shape (passages, dimensions), rows of length one; dimensions 0 means that
    there are none, and words alone decide. `starts`, `holders` and `counts` are postings: the passages
    that hold vocabulary[i], and how often, are `holders[starts[i]:starts[i + 1]]` and `counts` likewise.
    """

    space: str
    passages: tuple[Passage, ...]
    vectors: Floats
    vocabulary: dict[str, int]
    starts: Ints
    holders: Ints
    counts: Floats
    lengths: Floats

    def rarity(self, term: str) -> float:
        """Inverse document frequency as BM25 has it; a word that no passage has is the rarest of all."""
        number = self.vocabulary.get(term)
        holders = 0 if number is None else int(self.starts[number + 1] - self.starts[number])
        total = len(self.passages)
        return math.log(1 + (total - holders + 0.5) / (holders + 0.5))


def build(passages: Sequence[Passage], vectors: Floats | None = None, space: str = "") -> Index:
    """An index of these passages; `vectors` has one normalised row for each, or is None."""
    if vectors is None:
        vectors = np.zeros((len(passages), 0), np.float32)
    if len(vectors) != len(passages):
        raise ValueError("one vector for each passage")
    vocabulary: dict[str, int] = {}
    postings: list[list[tuple[int, int]]] = []
    lengths = np.zeros(len(passages), np.float32)
    for holder, passage in enumerate(passages):
        counted = Counter(terms(f"{passage.title} {passage.text}"))
        lengths[holder] = sum(counted.values())
        for term, count in counted.items():
            number = vocabulary.setdefault(term, len(vocabulary))
            if number == len(postings):
                postings.append([])
            postings[number].append((holder, count))
    sizes = [len(held) for held in postings]
    flat = [pair for held in postings for pair in held]
    return Index(
        space=space,
        passages=tuple(passages),
        vectors=np.ascontiguousarray(vectors, np.float32),
        vocabulary=vocabulary,
        starts=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32),
        holders=np.array([holder for holder, _ in flat], np.int32),
        counts=np.array([count for _, count in flat], np.float32),
        lengths=lengths,
    )


def save(index: Index, path: Path) -> None:
    """Write the whole base to one file; a reader sees the old file or the new one, never a half."""
    arrays = {name: getattr(index, name) for name in ("vectors", "starts", "holders", "counts", "lengths")}
    layout: dict[str, dict[str, object]] = {}
    offset = 0
    for name, array in arrays.items():
        layout[name] = {"offset": offset, "shape": list(array.shape), "dtype": str(array.dtype)}
        offset += -(-array.nbytes // _ALIGN) * _ALIGN
    header = json.dumps(
        {
            "space": index.space,
            "passages": [[p.source_id, p.title, p.text] for p in index.passages],
            "vocabulary": list(index.vocabulary),
            "arrays": layout,
        },
        ensure_ascii=False,
    ).encode()
    header += b" " * (-(len(_MAGIC) + 8 + len(header)) % _ALIGN)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.part")
    with unfinished.open("wb") as file:
        file.write(_MAGIC + len(header).to_bytes(8, "big") + header)
        for array in arrays.values():
            raw = array.tobytes()
            file.write(raw + b"\x00" * (-len(raw) % _ALIGN))
    unfinished.replace(path)


def load(path: Path) -> Index:
    """Map a saved base into memory. Raises `BrokenIndex` or `OSError`."""
    try:
        with path.open("rb") as file:
            if file.read(len(_MAGIC)) != _MAGIC:
                raise BrokenIndex
            size = int.from_bytes(file.read(8), "big")
            header = json.loads(file.read(size))
            first = file.tell()
        arrays = {}
        for name, place in header["arrays"].items():
            shape = tuple(place["shape"])
            if math.prod(shape) == 0:  # nothing cannot be mapped
                arrays[name] = np.zeros(shape, place["dtype"])
                continue
            mapped = np.memmap(path, place["dtype"], "r", first + place["offset"], shape)
            arrays[name] = np.asarray(mapped)
        return Index(
            space=header["space"],
            passages=tuple(Passage(*fields) for fields in header["passages"]),
            vocabulary={term: number for number, term in enumerate(header["vocabulary"])},
            **arrays,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BrokenIndex from error
