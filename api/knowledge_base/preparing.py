"""The heavy half of ingestion, in a process of its own: `python -m api.knowledge_base.preparing`.

It is given one job as a line of JSON and answers in lines of JSON: how far it is, then the result or why
there is none. It ends when its standard input does, so it never outlives the api that wants the result.

    → {"do": "prepare", "source_id": …, "files": [{"raw": …, "name": …}], "before": path or "", "out": path}
    → {"do": "build", "parts": [paths], "out": path}        → {"do": "embed", "space": …, "texts": [...]}
    ← {"stage": "embedding", "done": 16, "total": 120}      ← {"result": {...}}      ← {"reason": "..."}
"""

import asyncio
import contextlib
import hashlib
import json
import os
import sys
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from kb import index as indexes
from kb import readers
from kb.calibration import Calibration, measured
from kb.chunking import Passage, cut
from kb.documents import Document
from kb.embeddings import E5Embedder, MiniLmEmbedder, Vectors
from kb.errors import Empty, Unreadable
from kb.openai_embeddings import EmbedderFailed
from kb.reading import OnProgress, read_apart
from pipelines.embedding_server import PREFIX, EmbeddingServer

BATCH = 16
SERVER_BATCH = 64
MAX_PASSAGES = 20_000
"""Of one source; about 2,500 pages."""
MAX_BASE_PASSAGES = 200_000


class CannotPrepare(Exception):
    """This could not be prepared"""


def prepare(job: dict[str, Any]) -> dict[str, Any]:
    """Read a source, cut it, embed what is new of it, and write all that as an index of this source alone."""
    tell("reading", 0, 1)
    documents, failed = read_site(job) if job["kind"] == "site" else ([read(job, job["files"][0])], 0)
    cuts = [cut(job["source_id"], document) for document in documents]
    # What stands on every page of a site, under the same title, is one passage.
    found = list({passage.digest: passage for each in cuts for passage in each}.values())
    if not found:
        raise Empty
    if len(found) > MAX_PASSAGES:
        raise CannotPrepare("This is larger than one source may be; split it.")
    sizes: Counter[str] = Counter()
    for document, passages in zip(documents, cuts, strict=True):
        sizes[document.language] += len(passages)
    language = sizes.most_common(1)[0][0]
    vectors: Vectors | None
    calibration: Calibration | None
    if job["embedder"].startswith(PREFIX):
        space, vectors, calibration = asyncio.run(embed_by_server(found, job))
    else:
        space = space_for(job["embedder"], language, job["space"])
        vectors = embed_new(found, space, before(job)) if space else None
        calibration = None
    indexes.save(indexes.build(found, vectors, space, calibration), Path(job["out"]))
    return {
        "passages": len(found),
        "space": space,
        "language": language,
        "title": documents[0].title[:200],
        "scanned_pages": sum(len(document.scanned_pages) for document in documents),
        "pages": len(documents),
        "failed_pages": failed,
    }


def read(job: dict[str, Any], file: dict[str, str], on_progress: OnProgress | None = None) -> Document:
    """What a file says. Those of strangers are read in yet another process, which is held to its bounds."""
    raw = Path(file["raw"])
    if job["kind"] == "text":
        return replace(readers.read(raw, "text.md", "text/markdown"), title=job["title"])
    reading = read_apart(raw, file["name"], file["declared_type"], on_progress=on_progress or tell)
    return asyncio.run(reading)


def read_site(job: dict[str, Any]) -> tuple[list[Document], int]:
    """What the pages of a site say, and how many say nothing that can be read; `Empty` when none does."""
    documents, failed, files = [], 0, job["files"]
    for number, file in enumerate(files):
        tell("reading", number, len(files))
        try:
            documents.append(read(job, file, lambda _stage, _done, _total: None))
        except Unreadable:
            failed += 1
    if not documents:
        raise Empty
    return documents, failed


def space_for(embedder: str, language: str, space_of_base: str) -> str:
    """What the vectors are made with, among what is installed; empty where words alone decide."""
    is_english = embedder == "english" or (embedder == "auto" and language in ("", "en"))
    if embedder == "words":
        return ""
    if is_english and space_of_base != E5Embedder.space:
        return MiniLmEmbedder.space
    return E5Embedder.space if E5Embedder.is_installed() else ""


async def embed_by_server(found: Sequence[Passage], job: dict[str, Any]) -> tuple[str, Vectors, Calibration]:
    """The same from the operator's embedding server, and what its likenesses are worth."""
    if job["server"] is None:
        raise CannotPrepare("There is no embedding server here any more; choose another embedder.")
    server = EmbeddingServer(**job["server"])
    guard = server.guard()
    try:
        embedder = await server.connected(guard, job["embedder"].removeprefix(PREFIX))
        previous = before(job)
        vectors, new = indexes.missing(previous, found, embedder.space, embedder.dimensions)
        tell("embedding", 0, len(new))
        for start in range(0, len(new), SERVER_BATCH):
            chosen = new[start : start + SERVER_BATCH]
            vectors[chosen] = await embedder.embed([found[number].embedded for number in chosen])
            tell("embedding", start + len(chosen), len(new))
        if previous is not None and previous.space == embedder.space:
            return embedder.space, vectors, previous.calibration
        return embedder.space, vectors, await measured(embedder)
    finally:
        await guard.close()


def before(job: dict[str, Any]) -> indexes.Index | None:
    """What an earlier reading of the source made, where that can be had."""
    if job["before"]:
        with contextlib.suppress(OSError, indexes.BrokenIndex):
            return indexes.load(Path(job["before"]))
    return None


def embed_new(found: Sequence[Passage], space: str, previous: indexes.Index | None) -> Vectors:
    """A vector for each passage; those that were there before are not made again."""
    vectors, new = indexes.missing(previous, found, space, MiniLmEmbedder.dimensions)
    tell("embedding", 0, len(new))
    embedder = loaded(space) if new else None
    for start in range(0, len(new), BATCH):
        chosen = new[start : start + BATCH]
        assert embedder is not None  # noqa: S101 - something is new
        vectors[chosen] = embedder([found[number].embedded for number in chosen])
        tell("embedding", start + len(chosen), len(new))
    return vectors


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
    space, vectors, calibration = job["space"], None, None
    if dimensions := max((part.vectors.shape[1] for part in parts if part.space == space), default=0):
        calibration = next(part.calibration for part in parts if part.space == space)
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
    indexes.save(indexes.build(found, vectors, space, calibration), out)
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
    except (CannotPrepare, EmbedderFailed, Unreadable) as error:
        say({"reason": f"{str(error).rstrip('.')}."})
    except Exception as error:  # noqa: BLE001 - whatever it is, its words may be the source's
        say({"reason": f"This could not be read ({type(error).__name__})."})
    else:
        say({"result": result})
    sys.stdout.flush()
    os._exit(0)  # the thread above still waits


if __name__ == "__main__":
    main()
