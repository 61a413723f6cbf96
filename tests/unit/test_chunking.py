"""Documents become passages: on bounds that mean something, none too long, nothing lost."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from kb.chunking import WHOLE_CHARACTERS, cut
from kb.documents import KINDS, Block, Document

FIRST = "Somebody who reads this sentence knows one thing more than before."


def _document(*blocks: Block) -> Document:
    return Document("Handbook", blocks)


def test_a_passage_names_its_source_headings_and_page() -> None:
    (passage,) = cut("s1", _document(Block("paragraph", "We open at nine.", ("House", "Hours"), 3)))
    assert (passage.source_id, passage.title, passage.page) == ("s1", "Handbook - House - Hours", 3)
    assert passage.embedded == "Hours. We open at nine."


def test_no_passage_reaches_across_a_heading() -> None:
    found = cut("s", _document(Block("paragraph", "One.", ("A",)), Block("paragraph", "Two.", ("B",))))
    assert [(each.title, each.text) for each in found] == [("Handbook - A", "One."), ("Handbook - B", "Two.")]


def test_long_text_is_cut_between_sentences_that_overlap_by_one() -> None:
    numbered = [f"{FIRST} Number {n}." for n in range(20)]
    found = cut("s", _document(Block("paragraph", " ".join(numbered))))
    assert len(found) > 3
    assert all(len(each.text) <= 420 for each in found)
    for earlier, later in itertools.pairwise(found):
        assert later.text.split("\n")[0] == earlier.text.split("\n")[-1]


def test_paragraphs_under_one_heading_share_a_passage() -> None:
    found = cut(
        "s", _document(Block("paragraph", "We open at nine."), Block("paragraph", "We close at six."))
    )
    assert [each.text for each in found] == ["We open at nine.\nWe close at six."]


def test_a_list_a_table_and_an_answer_stay_whole() -> None:
    rows = "\n".join(f"Room: {n}; Price: {n}0 euros; Beds: two" for n in range(20))
    blocks = [
        Block("table", rows),
        Block("list", "Bring:\na card\na coat"),
        Block("faq", "Yes. Free.", ("Cots?",)),
    ]
    assert [each.text for each in cut("s", _document(*blocks))] == [
        rows,
        "Bring:\na card\na coat",
        "Yes. Free.",
    ]


def test_a_list_too_long_to_stay_whole_is_cut_between_items_under_its_lead() -> None:
    items = [f"item number {n} of the things that one should bring along" for n in range(60)]
    found = cut("s", _document(Block("list", "\n".join(["Please bring:", *items]))))
    assert len(found) > 3
    assert all(each.text.startswith("Please bring:\n") for each in found)
    assert [line for each in found for line in each.text.split("\n")[1:]] == items


def test_a_sentence_without_an_end_is_still_cut() -> None:
    found = cut("s", _document(Block("paragraph", "word " * 2000), Block("paragraph", "字" * 3000)))
    assert all(len(each.text) <= WHOLE_CHARACTERS for each in found)


blocks = st.builds(
    Block,
    st.sampled_from(KINDS),
    st.text(max_size=3000),
    st.lists(st.text(max_size=30), max_size=3).map(tuple),
    st.none() | st.integers(1, 2000),
)


@given(st.lists(blocks, max_size=6))
def test_no_letter_is_lost_and_no_passage_is_too_long(written: list[Block]) -> None:
    found = cut("s", _document(*written))
    assert all(each.text.strip() and len(each.text) <= WHOLE_CHARACTERS + 420 for each in found)
    kept = {letter for each in found for letter in each.text}
    assert {letter for block in written for letter in "".join(block.text.split())} <= kept
