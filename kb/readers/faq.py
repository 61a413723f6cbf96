"""Pairs of question and answer, as an owner typed them."""

from collections.abc import Iterable

from kb.documents import Block, Document
from kb.errors import Empty
from kb.languages import guess


def read(pairs: Iterable[tuple[str, str]], title: str) -> Document:
    """A document of these pairs; a pair that lacks either half is left out."""
    blocks = tuple(
        Block("faq", answer.strip(), (" ".join(question.split()),))
        for question, answer in pairs
        if question.strip() and answer.strip()
    )
    if not blocks:
        raise Empty
    return Document(title, blocks, guess("\n".join(f"{each.headings[-1]} {each.text}" for each in blocks)))
