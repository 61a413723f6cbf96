"""The heavy half of ingestion, in a process of its own: `python -m api.knowledge_base.preparing`.

It is given one job as a line of JSON and answers in lines of JSON: how far it is, then the result or why
there is none. It ends when its standard input does, so it never outlives the api that wants the result.

    → {"do": "prepare", "source_id": …, "title": …, "name": …, "raw": path, "before": path or "", "out": path}
    → {"do": "build", "parts": [paths], "out": path}        → {"do": "embed", "space": …, "texts": [...]}
    ← {"stage": "embedding", "done": 16, "total": 120}      ← {"result": {...}}      ← {"reason": "..."}
"""

import hashlib
import json
import os
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kb import index as indexes
from kb.chunking import Passage, passages
from kb.embeddings import E5Embedder, MiniLmEmbedder, Vectors

BATCH = 16
MAX_PASSAGES = 20_000
"""Of one source; about 2,500 pages."""
MAX_BASE_PASSAGES = 200_000


class CannotPrepare(Exception):
    """This could not be prepared"""


def prepare(job: dict[str, Any]) -> dict[str, Any]:
    """Read a source, cut it, embed what is new of it, and write all that as an index of this source alone."""
    tell("reading", 0, 1)
    found, language = read(job)
    if not found:
        raise CannotPrepare("There is no text in this.")
    if len(found) > MAX_PASSAGES:
        raise CannotPrepare("This is larger than one source may be; split it.")
    space = space_for(job["embedder"], language, job["space"])
    vectors = embed_new(found, space, Path(job["before"]) if job["before"] else None)
    indexes.save(indexes.build(found, vectors, space), Path(job["out"]))
    return {"passages": len(found), "space": space, "language": language}


def read(job: dict[str, Any]) -> tuple[list[Passage], str]:
    """A source's passages and its language."""
    text = Path(job["raw"]).read_text("utf-8", errors="strict")
    return passages(job["source_id"], job["title"], text), ""


def space_for(embedder: str, language: str, space_of_base: str) -> str:
    """What the vectors are made with, among what is installed; empty where words alone decide."""
    is_english = embedder == "english" or (embedder == "auto" and language in ("", "en"))
    if embedder == "words":
        return ""
    if is_english and space_of_base != E5Embedder.space:
        return MiniLmEmbedder.space
    return E5Embedder.space if E5Embedder.is_installed() else ""


def embed_new(found: Sequence[Passage], space: str, before: Path | None) -> Vectors | None:
    """A vector for each passage; those that were there before are not made again."""
    if not space:
        return None
    known = _vectors_before(space, before)
    texts = [f"{passage.title}. {passage.text}" for passage in found]
    new = [number for number, text in enumerate(texts) if text not in known]
    vectors = np.zeros((len(found), MiniLmEmbedder.dimensions), np.float32)
    for number, text in enumerate(texts):
        if text in known:
            vectors[number] = known[text]
    tell("embedding", 0, len(new))
    if not new:
        return vectors
    embedder = loaded(space)
    for start in range(0, len(new), BATCH):
        chosen = new[start : start + BATCH]
        vectors[chosen] = embedder([texts[number] for number in chosen])
        tell("embedding", start + len(chosen), len(new))
    return vectors


def _vectors_before(space: str, before: Path | None) -> dict[str, Vectors]:
    if before is None:
        return {}
    try:
        held = indexes.load(before)
    except (OSError, indexes.BrokenIndex):
        return {}
    if held.space != space or len(held.vectors) != len(held.passages):
        return {}
    return {
        f"{passage.title}. {passage.text}": vector
        for passage, vector in zip(held.passages, held.vectors, strict=True)
    }


def loaded(space: str) -> Callable[[Sequence[str]], Vectors]:
    """The embedder of a space, loaded here."""
    if space == E5Embedder.space:
        return E5Embedder().embed_now
    return MiniLmEmbedder().embed_now


def build(job: dict[str, Any]) -> dict[str, Any]:
    """One index of several sources. Those that are of no space, or still of another, have words alone."""
    tell("indexing", 0, len(job["parts"]))
    parts = [indexes.load(Path(path)) for path in job["parts"]]
    found = [passage for part in parts for passage in part.passages]
    if len(found) > MAX_BASE_PASSAGES:
        raise CannotPrepare("This knowledge base is full; put more into another one.")
    space, vectors = job["space"], None
    if dimensions := max((part.vectors.shape[1] for part in parts if part.space == space), default=0):
        vectors = np.concatenate(
            [
                part.vectors
                if part.space == space
                else np.zeros((len(part.passages), dimensions), np.float32)
                for part in parts
            ]
        )
    else:
        space = ""
    out = Path(job["out"])
    indexes.save(indexes.build(found, vectors, space), out)
    with out.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"passages": len(found), "digest": digest, "size": out.stat().st_size}


def embed(job: dict[str, Any]) -> dict[str, Any]:
    """Vectors of a few texts, as lists."""
    return {"vectors": loaded(job["space"])(job["texts"]).tolist()}


def tell(stage: str, done: int, total: int) -> None:
    """How far it is."""
    say({"stage": stage, "done": done, "total": total})


def say(line: dict[str, Any]) -> None:
    """One line to the api."""
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def _end_with_the_api() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


def main() -> None:
    """See the module's docstring."""
    os.nice(10)  # a call on the same machine goes first
    job = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_the_api, daemon=True).start()
    try:
        result = {"prepare": prepare, "build": build, "embed": embed}[job["do"]](job)
    except CannotPrepare as error:
        say({"reason": str(error)})
    except UnicodeDecodeError:
        say({"reason": "This is not text."})
    else:
        say({"result": result})
    sys.stdout.flush()
    os._exit(0)  # the thread above still waits


if __name__ == "__main__":
    main()
