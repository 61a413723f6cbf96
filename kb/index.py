"""One base of knowledge, immutable: its passages, their vectors and their words, ready to be searched."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from kb.calibration import Calibration, known
from kb.chunking import Passage
from kb.documents import KINDS
from kb.index_file import BrokenIndex, read_file, version_of, write_file
from kb.strings import Strings
from kb.words import terms

__all__ = ["BrokenIndex", "Index", "build", "load", "missing", "save", "version_of"]

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]
Codes = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Index:
    """A base that can be searched. Immutable; safe to share between threads.

    `vectors` is float32 of shape (passages, dimensions), rows of length one; dimensions 0 means that
    there are none, and words alone decide. `codes` are their signs around `centre`, 64 to a number,
    shape (dimensions / 64, passages). `starts`, `holders` and `counts` are postings: the passages that
    hold vocabulary[i], and how often, are `holders[starts[i]:starts[i + 1]]` and `counts` likewise.
    """

    space: str
    calibration: Calibration
    vectors: Floats
    centre: Floats
    codes: Codes
    digests: NDArray[np.uint8]
    texts: Strings
    titles: Strings
    sources: Strings
    title_of: Ints
    source_of: Ints
    page_of: Ints
    kind_of: NDArray[np.uint8]
    vocabulary: Strings
    starts: NDArray[np.int64]
    holders: Ints
    counts: Floats
    lengths: Floats
    mean_length: float
    version: str = ""
    """Of the file it came from: changes when anything in it does. "" when it never was in one."""

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def dimensions(self) -> int:
        """Of its vectors; 0 when it has none."""
        return int(self.vectors.shape[1])

    @property
    def passages(self) -> Sequence[Passage]:
        """All of them, each made when it is asked for."""
        return _Passages(self)

    def passage(self, number: int) -> Passage:
        """One of them."""
        page = int(self.page_of[number])
        return Passage(
            source_id=self.sources[int(self.source_of[number])],
            title=self.titles[int(self.title_of[number])],
            text=self.texts[number],
            page=page if page > 0 else None,
            kind=KINDS[int(self.kind_of[number])],
        )

    def postings(self, term: str) -> tuple[Ints, Floats]:
        """Numbers of the passages that hold a word, ascending, and how often each does."""
        number = self.vocabulary.find(term)
        if number is None:
            return self.holders[:0], self.counts[:0]
        span = slice(int(self.starts[number]), int(self.starts[number + 1]))
        return self.holders[span], self.counts[span]

    def rarity(self, holders: int) -> float:
        """Inverse document frequency as BM25 has it; a word that no passage has is the rarest of all."""
        return math.log(1 + (len(self) - holders + 0.5) / (holders + 0.5))

    def code_of(self, vector: Floats) -> Codes:
        """The signs of one vector, as `codes` has them."""
        return _codes(np.asarray(vector, np.float32).reshape(1, -1), self.centre)[:, 0]


class _Passages(Sequence[Passage]):
    def __init__(self, index: Index) -> None:
        self._index = index

    def __len__(self) -> int:
        return len(self._index)

    @overload
    def __getitem__(self, place: int) -> Passage: ...
    @overload
    def __getitem__(self, place: slice) -> list[Passage]: ...
    def __getitem__(self, place: int | slice) -> Passage | list[Passage]:
        if isinstance(place, slice):
            return [self._index.passage(number) for number in range(*place.indices(len(self)))]
        if not -len(self) <= place < len(self):
            raise IndexError(place)
        return self._index.passage(place % len(self))

    def __iter__(self) -> Iterator[Passage]:
        return (self._index.passage(number) for number in range(len(self)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]


def missing(
    previous: Index | None, passages: Sequence[Passage], space: str, dimensions: int
) -> tuple[Floats, list[int]]:
    """Vectors that an older index of the same space has already, and which rows are still to be made.

    The first has a row for each passage, zeros where one is missing; fill those and `build`.
    """
    vectors = np.zeros((len(passages), dimensions), np.float32)
    if previous is None or previous.space != space or previous.dimensions != dimensions:
        return vectors, list(range(len(passages)))
    known_at = {digest.tobytes(): place for place, digest in enumerate(previous.digests)}
    lacking = []
    for row, passage in enumerate(passages):
        place = known_at.get(passage.digest)
        if place is None:
            lacking.append(row)
        else:
            vectors[row] = previous.vectors[place]
    return vectors, lacking


def build(
    passages: Sequence[Passage],
    vectors: Floats | None = None,
    space: str = "",
    calibration: Calibration | None = None,
) -> Index:
    """An index of these passages; `vectors` has one normalised row for each, or is None.

    `calibration` is the space's: without it, the one that is known of it (see `kb.calibration`).
    """
    if vectors is None:
        vectors = np.zeros((len(passages), 0), np.float32)
    if len(vectors) != len(passages):
        raise ValueError("one vector for each passage")
    vectors = np.ascontiguousarray(vectors, np.float32)
    if not np.isfinite(vectors).all():
        raise ValueError("a vector has a number that is none")
    centre = vectors.mean(axis=0) if len(vectors) else np.zeros(vectors.shape[1], np.float32)
    titles: dict[str, int] = {}
    sources: dict[str, int] = {}
    vocabulary, starts, holders, counts, lengths = _postings(passages)
    return Index(
        space=space,
        calibration=calibration or known(space if vectors.shape[1] else ""),
        vectors=vectors,
        centre=centre.astype(np.float32),
        codes=_codes(vectors, centre),
        digests=np.frombuffer(b"".join(each.digest for each in passages), np.uint8).reshape(-1, 16),
        texts=Strings.of(each.text for each in passages),
        title_of=np.array([titles.setdefault(each.title, len(titles)) for each in passages], np.int32),
        source_of=np.array([sources.setdefault(each.source_id, len(sources)) for each in passages], np.int32),
        titles=Strings.of(titles),
        sources=Strings.of(sources),
        page_of=np.array([each.page or 0 for each in passages], np.int32),
        kind_of=np.array([KINDS.index(each.kind) for each in passages], np.uint8),
        vocabulary=vocabulary,
        starts=starts,
        holders=holders,
        counts=counts,
        lengths=lengths,
        mean_length=max(1.0, float(lengths.mean())) if len(lengths) else 1.0,
    )


def _codes(vectors: Floats, centre: Floats) -> Codes:
    """The sign of every dimension, 64 to a number; a dimension more than there are is no sign."""
    signs = vectors > centre
    padded = np.pad(signs, ((0, 0), (0, -signs.shape[1] % 64)))
    packed = np.packbits(padded, axis=1)
    if not packed.size:
        return np.zeros((padded.shape[1] // 64, len(vectors)), np.uint64)
    return np.ascontiguousarray(packed.view(np.uint64).T)


def _postings(passages: Sequence[Passage]) -> tuple[Strings, NDArray[np.int64], Ints, Floats, Floats]:
    held: dict[str, list[tuple[int, int]]] = {}
    lengths = np.zeros(len(passages), np.float32)
    title_terms: dict[str, list[str]] = {}
    for number, passage in enumerate(passages):
        if (named := title_terms.get(passage.title)) is None:
            named = title_terms[passage.title] = terms(passage.title)
        counted = Counter(named)
        counted.update(terms(passage.text))
        lengths[number] = counted.total()
        for term, count in counted.items():
            held.setdefault(term, []).append((number, count))
    # As bytes, since that is how `Strings.find` compares them.
    ordered = sorted(held, key=lambda term: term.encode(errors="replace"))
    sizes = np.array([0, *(len(held[term]) for term in ordered)], np.int64)
    flat = np.array([pair for term in ordered for pair in held[term]], np.int32).reshape(-1, 2)
    return (
        Strings.of(ordered),
        np.cumsum(sizes),
        np.ascontiguousarray(flat[:, 0]),
        flat[:, 1].astype(np.float32),
        lengths,
    )


_PLAIN = (
    "vectors centre codes digests title_of source_of page_of kind_of starts holders counts lengths".split()
)
_STRINGS = "texts titles sources vocabulary".split()


def save(index: Index, path: Path) -> str:
    """Write the whole base to one file and return its version; a reader sees the old file or the new one."""
    arrays: dict[str, NDArray[np.generic]] = {name: getattr(index, name) for name in _PLAIN}
    for name in _STRINGS:
        strings: Strings = getattr(index, name)
        arrays[f"{name}.letters"], arrays[f"{name}.ends"] = strings.letters, strings.ends
    about = {
        "space": index.space,
        "calibration": index.calibration.to_dict(),
        "mean_length": index.mean_length,
    }
    return write_file(path, about, arrays)


def load(path: Path, *, verify: bool = False) -> Index:
    """Map a saved base into memory. Raises `BrokenIndex` or `OSError`.

    Its layout is always checked; `verify` reads all of it too, as one does once with a file just fetched.
    """
    version, about, arrays = read_file(path, verify=verify)
    try:
        fields: dict[str, Any] = {name: arrays[name] for name in _PLAIN}
        for name in _STRINGS:
            fields[name] = Strings(arrays[f"{name}.letters"], arrays[f"{name}.ends"])
        index = Index(
            space=str(about["space"]),
            calibration=Calibration(**about["calibration"]),
            mean_length=float(about["mean_length"]),
            version=version,
            **fields,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BrokenIndex from error
    if not _fits(index):
        raise BrokenIndex
    return index


def _fits(index: Index) -> bool:
    count = len(index)
    each_has_one = "vectors digests title_of source_of page_of kind_of lengths".split()
    whole = all(
        len(strings.letters) == (int(strings.ends[-1]) if len(strings) else 0)
        for strings in (index.texts, index.titles, index.sources, index.vocabulary)
    )
    return (
        all(len(getattr(index, name)) == count for name in each_has_one)
        and index.codes.shape == (-(-index.dimensions // 64), count)
        and len(index.centre) == index.dimensions
        and len(index.starts) == len(index.vocabulary) + 1
        and int(index.starts[-1]) == len(index.holders) == len(index.counts)
        and whole
    )
