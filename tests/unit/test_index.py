"""An index is one file: what goes in comes out, the broken is refused, the known is not made twice."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kb.chunking import Passage
from kb.documents import KINDS
from kb.embeddings import Vectors
from kb.index import BrokenIndex, build, load, missing, save, version_of
from kb.search import search

TWO = [Passage("1", "Hours", "Open at nine.", 4, "list"), Passage("2", "Price", "Ten euros.")]


def unit(count: int, dimensions: int = 8, seed: int = 0) -> Vectors:
    rows = np.random.default_rng(seed).normal(size=(count, dimensions)).astype(np.float32)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


# Half a surrogate pair is no text, and cannot be written in any encoding.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
passages = st.builds(Passage, texts, texts, texts, st.none() | st.integers(1, 10_000), st.sampled_from(KINDS))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(passages, max_size=12), st.sampled_from([0, 3, 64, 100]))
def test_an_index_is_the_same_after_a_trip_to_disk(
    tmp_path: Path, held: list[Passage], dimensions: int
) -> None:
    index = build(held, unit(len(held), dimensions), "some space")
    version = save(index, tmp_path / "a.kb")
    again = load(tmp_path / "a.kb", verify=True)
    assert list(again.passages) == held
    assert again.version == version == version_of(tmp_path / "a.kb")
    assert again.space == "some space"
    assert again.calibration == index.calibration
    assert list(again.vocabulary) == list(index.vocabulary)
    for name in "vectors codes centre digests starts holders counts lengths".split():
        assert np.array_equal(getattr(again, name), getattr(index, name))
    for passage in held:
        question = f"{passage.title} {passage.text}"
        assert search(again, question) == search(index, question)


@settings(deadline=None)
@given(st.lists(passages, max_size=12), st.lists(passages, max_size=12))
def test_only_passages_that_are_new_need_a_vector(before: list[Passage], after: list[Passage]) -> None:
    vectors = unit(len(before))
    old = build(before, vectors, "x")
    found, lacking = missing(old, after, "x", 8)
    known = {passage.embedded for passage in before}
    assert lacking == [row for row, passage in enumerate(after) if passage.embedded not in known]
    for row, passage in enumerate(after):
        if row not in lacking:
            assert any(
                np.array_equal(found[row], vectors[place])
                for place, held in enumerate(before)
                if held.embedded == passage.embedded
            )


def test_nothing_is_reused_from_another_space() -> None:
    assert missing(build(TWO, unit(2), "x"), TWO, "y", 8)[1] == [0, 1]
    assert missing(build(TWO, unit(2), "x"), TWO, "x", 9)[1] == [0, 1]
    assert missing(None, TWO, "x", 8)[1] == [0, 1]


def test_a_deleted_source_leaves_nothing_in_the_file(tmp_path: Path) -> None:
    held = [Passage("1", "Hours", "The zymurgist opens at nine."), Passage("2", "Price", "Ten euros.")]
    save(build(held, unit(2)), tmp_path / "a.kb")
    assert b"zymurgist" in (tmp_path / "a.kb").read_bytes()
    save(build(held[1:], unit(2)[1:]), tmp_path / "a.kb")
    content = (tmp_path / "a.kb").read_bytes()
    assert not any(word in content for word in (b"zymurg", b"Hours", unit(2)[0].tobytes()))


def test_an_old_index_can_still_be_searched_while_a_new_one_takes_its_place(tmp_path: Path) -> None:
    save(build(TWO, unit(2)), tmp_path / "a.kb")
    old = load(tmp_path / "a.kb")
    save(build(TWO[1:], unit(2)[1:]), tmp_path / "a.kb")
    assert old.version != load(tmp_path / "a.kb").version
    assert search(old, "when do you open", unit(2)[0])[0].passage == TWO[0]
    assert not list(tmp_path.glob("*.part"))


def test_the_same_base_has_the_same_version(tmp_path: Path) -> None:
    assert save(build(TWO, unit(2)), tmp_path / "a.kb") == save(build(TWO, unit(2)), tmp_path / "b.kb")
    assert save(build(TWO, unit(2, seed=1)), tmp_path / "c.kb") != version_of(tmp_path / "a.kb")


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"call2mekb\x00\x00\x00\x00\x00\x00\x01" + b"\x00" * 20, b"\x00" * 5000]
)
def test_a_file_of_something_else_is_no_index(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.kb").write_bytes(content)
    with pytest.raises(BrokenIndex):
        load(tmp_path / "a.kb")


def test_a_file_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    save(build(TWO, unit(2)), tmp_path / "a.kb")
    whole = (tmp_path / "a.kb").read_bytes()
    for size in range(0, len(whole), 61):
        (tmp_path / "b.kb").write_bytes(whole[:size])
        with pytest.raises(BrokenIndex):
            load(tmp_path / "b.kb")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_a_changed_byte_is_found_when_the_file_is_verified(tmp_path: Path, data: st.DataObject) -> None:
    save(build(TWO, unit(2)), tmp_path / "a.kb")
    broken = bytearray((tmp_path / "a.kb").read_bytes())
    place = data.draw(st.integers(0, len(broken) - 1))
    broken[place] ^= data.draw(st.integers(1, 255))
    (tmp_path / "b.kb").write_bytes(broken)
    try:
        changed = load(tmp_path / "b.kb", verify=True)
    except BrokenIndex:
        return
    # The padding between arrays says nothing.
    assert list(changed.passages) == TWO


def test_a_vector_of_no_numbers_is_refused() -> None:
    with pytest.raises(ValueError, match="a number that is none"):
        build(TWO, np.full((2, 8), np.nan, np.float32))
