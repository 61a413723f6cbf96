"""Speak every second question of the set to Whisper, and keep what it misheard: tests/knowledge/heard.tsv.

    python -m bench.misheard

English is spoken by hibari, Turkish and Spanish by espeak-ng; all of it goes through a telephone's band
with rain in the background, loud enough that words are lost (espeak-ng's voice needs little of it).
"""

import asyncio
import re
import sys
from difflib import SequenceMatcher

import numpy as np

from pipelines.local.espeak import EspeakTTS
from tests.support import sounds
from tests.support.question_set import FOLDER, Question, written
from tests.support.speech import _ears, _voice

RAIN = {"en": (0.06, 0.1, 0.14), "tr": (0.0, 0.01, 0.02), "es": (0.0, 0.01, 0.02)}
UNDERSTANDABLE = 0.6
"""Of the letters; where fewer were heard nobody could answer."""


def spoken(question: Question) -> sounds.Sound:
    """A caller's voice, float32 at 16 kHz."""
    if question.language == "en":
        sound = np.concatenate(list(_voice().stream(question.text))).astype(np.float32)
        return sounds.resample(sound, 24_000, sounds.RATE)
    pcm = asyncio.run(_robot(question))
    return sounds.resample(np.frombuffer(pcm, np.int16).astype(np.float32) / 32_768, 22_050, sounds.RATE)


async def _robot(question: Question) -> bytes:
    voice = EspeakTTS(language=question.language)
    return b"".join([piece async for piece in voice.speak(question.text, 10)])


def heard(question: Question, place: int) -> str:
    """What Whisper makes of it on a bad line."""
    sound = spoken(question)
    line = sounds.telephone(sound / np.abs(sound).max() * 0.5)
    noisy = (
        line + sounds.pink(len(line) / sounds.RATE, RAIN[question.language][place % 3], place)[: len(line)]
    )
    return _ears().transcribe(noisy.astype(np.float32), language=question.language).text.strip()


def words(text: str) -> list[str]:
    """To compare by."""
    return re.findall(r"\w+", text.casefold())


def likeness(one: str, other: str) -> float:
    """How much of one text is in the other, 0 to 1."""
    return SequenceMatcher(None, " ".join(words(one)), " ".join(words(other))).ratio()


def main() -> None:
    """See the module's docstring."""
    kept = []
    for place, question in enumerate(written()[::2]):
        text = " ".join(heard(question, place).split())
        if words(text) != words(question.text) and likeness(text, question.text) >= UNDERSTANDABLE:
            kept.append("\t".join((question.business, question.text, text, question.expected)))
            print(f"{question.text!r} -> {text!r}", file=sys.stderr, flush=True)
    (FOLDER / "heard.tsv").write_text("\n".join(kept) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
