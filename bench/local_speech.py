"""What hearing and speaking on this machine cost: the figures of docs/offline.md.

    python -m bench.local_speech            prints them
    python -m bench.local_speech --write    writes them into docs/offline.md

Starts a models process of its own; medians of seven. The voice that is recognised is hibari's, clear
and through a telephone's band: it ranks settings, it promises nothing about real callers.
"""

import argparse
import asyncio
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil

from pipelines.local.client import ModelsClient
from tests.support.models import client_memory, models_process, spoken
from tests.support.sounds import Sound, pcm, telephone, word_errors

RUNS = 7
PAGE = Path(__file__).resolve().parents[1] / "docs" / "offline.md"
MARK = "<!-- local_speech: written by bench/local_speech.py -->"
SENTENCES = (
    "What time do you open on Saturday?",
    "I would like to book an appointment for a cleaning on Tuesday morning.",
    "How much does a root canal cost?",
    "Do you have parking in front of the building?",
    "My daughter has a toothache, can we come today?",
    "Is there anything I should bring with me to the first visit?",
    "Yes, please.",
    "Can I pay by credit card?",
    "Which insurance companies do you accept?",
    "I need to cancel my appointment on Friday afternoon.",
)
ANSWER = (
    "We are open Monday to Friday from eight until six, and on Saturday until noon. "
    "Would you like to come in?"
)

Figure = tuple[str, str]


async def median_ms(ask: Callable[[], Awaitable[object]]) -> float:
    """How long one request takes, in the middle of `RUNS`."""
    took = []
    for _ in range(RUNS):
        started = time.monotonic()
        await ask()
        took.append((time.monotonic() - started) * 1000)
    return statistics.median(took)


async def figures(client: ModelsClient) -> list[Figure]:
    """Everything but the start."""
    voices = [await spoken(client, sentence) for sentence in SENTENCES]
    found: list[Figure] = []
    idle = await client_memory(client) / 1e6
    for sentence, voice in zip(SENTENCES[:2], voices, strict=False):
        took = await median_ms(lambda voice=voice: client.transcribe(pcm(voice), language="en"))
        found.append(
            (
                f"words of {len(voice) / 16_000:.1f} s of speech ({len(sentence.split())} words)",
                f"{took:.0f} ms",
            )
        )
    for name, through in (("clear", lambda sound: sound), ("telephone band", telephone)):
        found.append(
            (f"word error rate, hibari's voice, {name}", f"{await error_rate(client, voices, through):.1%}")
        )

    async def first_sound() -> None:
        speech = client.synthesize(ANSWER)
        await anext(speech)
        await speech.aclose()

    async def whole() -> None:
        async for _ in client.synthesize(ANSWER):
            pass

    found.append(("first sound of an answer of two sentences", f"{await median_ms(first_sound):.0f} ms"))
    found.append(("all of it", f"{await median_ms(whole):.0f} ms"))
    found.append(("vector of a question", f"{await median_ms(lambda: client.embed([SENTENCES[0]])):.0f} ms"))
    found.append(("memory (PSS), just started", f"{idle:.0f} MB"))
    found.append(("memory (PSS), after this work", f"{await client_memory(client) / 1e6:.0f} MB"))
    return found


async def error_rate(client: ModelsClient, voices: list[Sound], through: Callable[[Sound], Sound]) -> float:
    """Words wrong, by words said."""
    wrong = said = 0.0
    for sentence, voice in zip(SENTENCES, voices, strict=True):
        heard = await client.transcribe(pcm(through(voice)), language="en")
        words = len(sentence.split())
        wrong += word_errors(sentence, heard.text) * words
        said += words
    return wrong / said


async def measure() -> list[Figure]:
    """Start a models process twice (weights joined, then warm) and ask it."""
    with tempfile.TemporaryDirectory(prefix="call2me-bench-") as folder:
        starts = []
        for _ in range(2):
            started = time.monotonic()
            with models_process(Path(folder)) as process:
                client = await process.ready()
                starts.append(time.monotonic() - started)
                found = await figures(client) if len(starts) == 2 else []
                await client.aclose()
    return [
        ("first start, weights joined and hashed", f"{starts[0]:.1f} s"),
        ("every other start", f"{starts[1]:.1f} s"),
        *found,
    ]


def table(found: list[Figure]) -> str:
    """The figures and the machine, as Markdown."""
    memory = psutil.virtual_memory().total / 2**30
    machine = f"{os.cpu_count()} cores, {memory:.0f} GB, {platform.system()} {platform.machine()}"
    rows = "\n".join(f"| {what} | {value} |" for what, value in found)
    return (
        f"{MARK}\n\nMeasured {time.strftime('%Y-%m-%d')} on {machine}, other work going on beside it.\n\n"
        f"| what | measured |\n| --- | --- |\n{rows}\n"
    )


def main() -> None:
    """Print, and write if asked to."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", action="store_true", help="replace the figures in docs/offline.md")
    arguments = parser.parse_args()
    text = table(asyncio.run(measure()))
    print(text)
    if arguments.write:
        before, _, _ = PAGE.read_text("utf-8").partition(MARK)
        PAGE.write_text(before + text, "utf-8")


if __name__ == "__main__":
    main()
