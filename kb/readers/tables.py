"""Rows of cells as lines that can be read aloud, and pairs of question and answer found among them."""

from collections.abc import Iterator, Sequence
from itertools import zip_longest

from kb.documents import Block
from kb.words import fold

_QUESTIONS = frozenset(
    "question questions q faq frage fragen pregunta preguntas soru sorular domanda pergunta".split()
)
_ANSWERS = frozenset(
    "answer answers a reply antwort antworten respuesta respuestas cevap yanit reponse risposta".split()
)


def spoken_rows(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Each row as `Column: cell; Column: cell`; rows without a header as `cell; cell`."""
    filled = [[" ".join(cell.split()) for cell in row] for row in rows]
    filled = [row for row in filled if any(row)]
    if not filled:
        return
    if not has_header(filled):
        yield from ("; ".join(filter(None, row)) for row in filled)
        return
    header = filled[0]
    for row in filled[1:]:
        named = zip_longest(header, row[: max(len(header), len(row))], fillvalue="")
        yield "; ".join(f"{name}: {cell}" if name else cell for name, cell in named if cell)


def has_header(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row names the columns: it is all words, none twice, and there is more below."""
    if len(rows) < 2:
        return False
    first = [cell for cell in rows[0] if cell]
    if len(first) < max(1, max(len(row) for row in rows) - 1) or len(set(first)) < len(first):
        return False
    return not any(any(character.isdigit() for character in cell) or len(cell) > 60 for cell in first)


def answered(rows: Sequence[Sequence[str]], headings: tuple[str, ...] = ()) -> tuple[Block, ...]:
    """The pairs of a table that has a column of questions and one of answers; nothing for any other."""
    if not rows:
        return ()
    names = [fold(cell).strip(" :") for cell in rows[0]]
    asked = next((place for place, name in enumerate(names) if name in _QUESTIONS), None)
    told = next((place for place, name in enumerate(names) if name in _ANSWERS), None)
    if asked is None or told is None:
        return ()
    wide = [row for row in rows[1:] if len(row) > max(asked, told)]
    return tuple(
        Block("faq", " ".join(row[told].split()), (*headings, " ".join(row[asked].split())))
        for row in wide
        if row[asked].strip() and row[told].strip()
    )
