"""Text for benches that nobody had to write or download: the documentation of the packages installed here."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from kb.embeddings import Vectors
from tests.support.documents import Flow, PdfPage, pdf


def sentences_of_packages(most: int) -> list[str]:
    """First paragraphs of the docstrings that are installed here, each once."""
    found: dict[str, None] = {}
    for path in sorted(Path(np.__file__).parents[1].rglob("*.py")):
        for paragraph in _paragraphs(path):
            text = " ".join(paragraph.split())
            if 40 <= len(text) <= 400:
                found.setdefault(text)
        if len(found) >= most:
            break
    return list(found)[:most]


def _paragraphs(path: Path) -> Iterator[str]:
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (SyntaxError, UnicodeDecodeError, ValueError, RecursionError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef | ast.Module):
            yield from re.split(r"\n\s*\n", ast.get_docstring(node, clean=False) or "")


def mixed(texts: list[str], vectors: Vectors, size: int) -> tuple[list[str], Vectors]:
    """So many passages: those there are, then halves of two with a vector between theirs, each pair once."""
    more = size - len(texts)
    if more <= 0:
        return texts[:size], vectors[:size]
    random = np.random.default_rng(0)
    one, other = random.integers(0, len(texts), (2, more))
    share = random.uniform(0.3, 0.7, (more, 1)).astype(np.float32)
    between = vectors[one] * share + vectors[other] * (1 - share)
    between /= np.linalg.norm(between, axis=1, keepdims=True)
    halves = [
        f"{texts[first][: len(texts[first]) // 2]} {texts[second][len(texts[second]) // 2 :]}"
        for first, second in zip(one, other, strict=True)
    ]
    return texts + halves, np.concatenate([vectors, between])


def report(pages: int, texts: list[str]) -> bytes:
    """A PDF of so many pages of these sentences, about 2,000 characters each."""
    made = []
    at = 0
    for number in range(pages):
        flow = Flow().say(f"Chapter {number + 1}", size=18).skip()
        while flow.y > 90:
            for line in re.findall(r".{1,85}(?:\s|$)", texts[at % len(texts)]):
                flow.say(line.encode("latin-1", "replace").decode("latin-1"))
            flow.skip()
            at += 1
        made.append(PdfPage(flow.lines))
    return pdf(made)
