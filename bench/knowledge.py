"""How quick and how good a knowledge base is: a table of docs/benchmarks.md.

    python -m bench.knowledge                       prints the figures as they come
    python -m bench.knowledge --write               writes them into docs/benchmarks.md
    python -m bench.knowledge --only quality        one part: speed, ingestion or quality

LangChain takes part when CALL2ME_BENCH_LANGCHAIN names a Python that has it (it is no dependency of ours):

    python -m venv /tmp/peers
    /tmp/peers/bin/pip install langchain-core==1.8.3 langchain-text-splitters==1.1.3 numpy
    CALL2ME_BENCH_LANGCHAIN=/tmp/peers/bin/python python -m bench.knowledge --write

The passages of the speed part are the sentences of the documentation in this environment's own packages,
embedded for real (5,000) or mixed of two; what was embedded is kept in a file between runs.
"""

import argparse
import asyncio
import os
import platform
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

# One core means one core, also for what numpy multiplies with.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from bench import knowledge_quality
from bench.parts.documentation import mixed, report, sentences_of_packages
from kb.chunking import Passage, cut
from kb.embeddings import E5Embedder, MiniLmEmbedder, Vectors
from kb.index import Index, build, load, save
from kb.reading import read_apart
from kb.search import search

PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"
PARTS = ("speed", "ingestion", "quality")
KEPT = Path(tempfile.gettempdir()) / f"call2me-bench-knowledge-{os.getuid()}.npz"
SIZES = (10_000, 100_000)
EMBEDDED_PASSAGES = 128
EMBEDDED = 5_000
"""Sentences that are embedded for real; further passages are two of them in one, words and vectors mixed."""
QUESTIONS = 300
QUESTION_WORDS = ("How do I", "What is", "Tell me about", "Can I", "When does it")

Figure = tuple[str, str, str]
"""What, how much, the goal."""


def say(text: str) -> None:
    """Progress, where the figures do not go."""
    print(text, file=sys.stderr, flush=True)


def corpus() -> tuple[list[str], Vectors, Figure]:
    """Texts, their vectors, and how quickly those were made."""
    if KEPT.exists():
        kept = np.load(KEPT)
        texts = kept["texts"].tobytes().decode().split("\n")
        return texts, kept["vectors"], _throughput(float(kept["seconds"]), texts)
    texts = sentences_of_packages(EMBEDDED)
    say(f"  {len(texts)} sentences")
    embedder = MiniLmEmbedder()
    rows: list[Vectors] = []
    started = time.process_time()
    for start in range(0, len(texts), 1024):
        rows.append(embedder.embed_now(texts[start : start + 1024]))
        say(f"  embedded {start + len(rows[-1])} in {time.process_time() - started:.0f} s")
    seconds = time.process_time() - started
    vectors = np.concatenate(rows)
    np.savez(KEPT, texts=np.frombuffer("\n".join(texts).encode(), np.uint8), vectors=vectors, seconds=seconds)
    return texts, vectors, _throughput(seconds, texts)


def _throughput(seconds: float, texts: list[str]) -> Figure:
    length = statistics.mean(map(len, texts))
    what = f"embedding with MiniLM, one core, sentences of {length:.0f} characters"
    return (what, f"{len(texts) / seconds:.0f} a second", "")


def questions_about(texts: list[str]) -> list[str]:
    """As a caller might ask, about texts that are there and in words that are."""
    random = np.random.default_rng(0)
    chosen = random.choice(len(texts), QUESTIONS, replace=False)
    asked = []
    for place, text in zip(chosen, (texts[at] for at in chosen), strict=True):
        words = text.split()
        start = int(random.integers(0, max(1, len(words) - 8)))
        asked.append(f"{QUESTION_WORDS[place % len(QUESTION_WORDS)]} {' '.join(words[start : start + 7])}?")
    return asked


def median_ms(ask: Callable[[int], object], times: int = QUESTIONS) -> tuple[float, float]:
    """The middle and the 95th of a hundred: time of this thread, which on a quiet machine is time.

    So a machine that others use as well does not make an index look slow.
    """
    took = []
    for place in range(times):
        started = time.thread_time()
        ask(place)
        took.append((time.thread_time() - started) * 1000)
    return statistics.median(took), sorted(took)[int(times * 0.95)]


def speed(folder: Path) -> list[Figure]:
    """Of a warm index, on one core."""
    texts, vectors, throughput = corpus()
    embedder = MiniLmEmbedder()
    asked = questions_about(texts)
    wanted = embedder.embed_now(asked)
    figures = [throughput]
    for size, goal in zip(SIZES, ("≤ 1 ms", "≤ 5 ms"), strict=True):
        written, rows = mixed(texts, vectors, size)
        held = [Passage(f"source {n % 50}", "Documentation", text) for n, text in enumerate(written)]
        started = time.process_time()
        made = build(held, rows, embedder.space)
        building = time.process_time() - started
        save(made, folder / "x.kb")
        named = f"{size // 1000:,} k passages"
        figures.append((f"{named}: building the index, vectors given", f"{building:.1f} s", ""))
        figures.append((f"{named}: its file", f"{(folder / 'x.kb').stat().st_size / 1e6:.0f} MB", ""))
        opening, _ = median_ms(lambda _: load(folder / "x.kb"), 21)
        figures.append((f"{named}: opening it", f"{opening:.2f} ms", "≤ 20 ms"))
        figures += _queries(load(folder / "x.kb"), asked, wanted, named, goal)
        middle, most = median_ms(
            lambda n, i=made: search(i, asked[n], embedder.embed_now([asked[n]])[0]), 100
        )
        figures.append(
            (f"{named}: the same with embedding the question", f"{middle:.2f} / {most:.2f} ms", "")
        )
    return figures


def _queries(index: Index, asked: list[str], wanted: Vectors, named: str, goal: str) -> list[Figure]:
    for place in range(20):
        search(index, asked[place], wanted[place])  # warm: the pages of the file are in memory
    middle, most = median_ms(lambda n: search(index, asked[n], wanted[n], top_k=5))
    plain, _ = median_ms(lambda n: np.argpartition(-(index.vectors @ wanted[n]), 5)[:5], 50)
    recall = []
    for vector in wanted:
        exact = set(np.argsort(-(index.vectors @ vector))[:5].tolist())
        found = {each.number for each in search(index, "", vector, top_k=5)}
        recall.append(len(exact & found) / 5)
    return [
        (f"{named}: a query, vectors and words, p50 / p95", f"{middle:.2f} / {most:.2f} ms", goal),
        (f"{named}: comparing every vector with numpy, no words", f"{plain:.2f} ms", ""),
        (
            f"{named}: recall@5 against comparing everything",
            f"{statistics.mean(recall):.4f}",
            "0.98 (at least)",
        ),
    ]


async def ingestion(folder: Path) -> list[Figure]:
    """From a PDF on the disk to an index on the disk, with the child that reads it."""
    texts = sentences_of_packages(1_000)
    embedder = MiniLmEmbedder()
    figures: list[Figure] = []
    for pages in (20, 1_000):
        (folder / "report").write_bytes(report(pages, texts))
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        document = await read_apart(folder / "report", "report.pdf")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        reading = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        held = cut("report", document)
        some = held[:EMBEDDED_PASSAGES]
        started = time.process_time()
        await embedder.embed([each.embedded for each in some])
        embedding = (time.process_time() - started) * len(held) / len(some)
        started = time.process_time()
        save(
            build(held, np.zeros((len(held), embedder.dimensions), np.float32), embedder.space), folder / "kb"
        )
        building = time.process_time() - started
        named = f"PDF of {pages:,} pages, {len(held):,} passages"
        whole = reading + embedding + building
        figures += [
            (f"{named}: reading, in a process of its own", f"{reading:.1f} s", ""),
            (f"{named}: embedding, one core, at the pace of {len(some)} of them", f"{embedding:.1f} s", ""),
            (
                f"{named}: all of it",
                f"{whole:.1f} s",
                "≤ 30 s" if pages == 20 else "",
            ),
        ]
        say(f"  {figures[-1]}")
    return figures


def quality() -> list[str]:
    """A table of its own."""
    python = os.environ.get("CALL2ME_BENCH_LANGCHAIN")
    lines = [
        "| retriever | hit@1 | hit@3 | answered | refusal precision | refusal recall | characters in three |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += knowledge_quality.rows("MiniLM, English", MiniLmEmbedder().embed_now, ["en"], python)
    lines += knowledge_quality.rows("e5, all languages", E5Embedder().embed_now, ["en", "tr", "es"], python)
    return lines


def machine() -> str:
    """What it was measured on."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    model = next((each.split(":")[1].strip() for each in lines if each.startswith("model name")), "")
    return (
        f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores ({model}), {platform.platform(terse=True)}, "
        f"Python {platform.python_version()}."
    )


def table(figures: list[Figure]) -> list[str]:
    """Figures as Markdown."""
    return [
        "| what | measured | goal |",
        "| --- | --- | --- |",
        *(f"| {what} | {measured} | {goal} |" for what, measured, goal in figures),
    ]


def main() -> None:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    parser.add_argument("--only", choices=PARTS, help="one part")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        for part in [asked.only] if asked.only else PARTS:
            lines = [machine(), "", *measured(part, Path(name))]
            print("\n".join(lines), flush=True)
            if asked.write:
                write(part, lines)


def measured(part: str, folder: Path) -> list[str]:
    """One part of it, as Markdown."""
    if part == "speed":
        return table(speed(folder))
    return table(asyncio.run(ingestion(folder))) if part == "ingestion" else quality()


def write(part: str, lines: list[str]) -> None:
    """Put one part between its two marks on the page."""
    mark = f"<!-- knowledge, {part}: written by bench/knowledge.py -->"
    before, _, after = PAGE.read_text(encoding="utf-8").split(mark)
    PAGE.write_text("\n".join([before + mark, *lines, mark + after]), encoding="utf-8")


if __name__ == "__main__":
    main()
