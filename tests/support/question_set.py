"""Seven businesses, what is asked of them, and what was heard when the questions were spoken to Whisper."""

import functools
from dataclasses import dataclass
from pathlib import Path

from kb.chunking import Passage, cut
from kb.documents import Document
from kb.readers.text import parse

FOLDER = Path(__file__).resolve().parents[1] / "knowledge"
LANGUAGES = {"clinic": "en", "hotel": "en", "bikes": "en", "software": "en", "estate": "en"} | {
    "klinik": "tr",
    "restaurante": "es",
}


@dataclass(frozen=True, slots=True)
class Question:
    """`expected` stands in the one passage that answers it; "" when nothing does."""

    business: str
    text: str
    expected: str
    was_misheard: bool = False

    @property
    def language(self) -> str:
        """Of the business and whoever calls it."""
        return LANGUAGES[self.business]


@functools.cache
def document(business: str) -> Document:
    """All that a business wrote about itself."""
    return parse((FOLDER / f"{business}.md").read_text(encoding="utf-8"), business)


@functools.cache
def passages(business: str) -> tuple[Passage, ...]:
    """The same, cut."""
    return tuple(cut(business, document(business)))


def written() -> list[Question]:
    """As they would be typed."""
    found = []
    for business in LANGUAGES:
        for line in (FOLDER / f"{business}.tsv").read_text(encoding="utf-8").splitlines():
            text, _, expected = line.partition("\t")
            found.append(Question(business, text, expected))
    return found


def heard() -> list[Question]:
    """Those that Whisper misheard (`bench/misheard.py` spoke them), as it heard them."""
    found = []
    for line in (FOLDER / "heard.tsv").read_text(encoding="utf-8").splitlines():
        business, _, text, expected = line.split("\t")
        found.append(Question(business, text, expected, was_misheard=True))
    return found


def holds(passage: str, expected: str) -> bool:
    """Whether a passage says what was expected, however its lines are broken."""
    return " ".join(expected.split()) in " ".join(passage.split())
