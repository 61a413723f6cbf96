"""What the models process may be asked, checked and turned into work for a lane."""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from kb.embeddings import E5Embedder, MiniLmEmbedder
from pipelines.local.engines import MAX_AUDIO_SECONDS, HibariEngine, WhisperEngine
from pipelines.local.mel import at_16_khz
from pipelines.local.wire import BadRequest
from worker.lanes import Part, Task

MAX_TEXTS = 64
_TEXTS_AT_ONCE = 16

Work = Callable[[Any, Task[Any]], Iterator[Part]]
Embeds = MiniLmEmbedder | E5Embedder


def transcription(header: Mapping[str, Any], payload: bytes) -> Work:
    """Words for int16 PCM. Raises `BadRequest`."""
    rate = int(number(header, "sample_rate", 16_000, 8_000, 48_000))
    language = header.get("language")
    if language is not None and not isinstance(language, str):
        raise BadRequest("language must be a code like en")
    if len(payload) % 2:
        raise BadRequest("The payload must be int16 samples")
    if len(payload) / 2 / rate > MAX_AUDIO_SECONDS:
        raise BadRequest(f"The audio is longer than {MAX_AUDIO_SECONDS:.0f} s: send it in pieces")
    is_draft = header.get("urgency") == "if_idle"

    def work(engine: WhisperEngine, task: Task[WhisperEngine]) -> Iterator[Part]:
        started = time.monotonic()
        samples = at_16_khz(np.frombuffer(payload, np.int16).astype(np.float32) / 32768.0, rate)
        found = engine.transcribe(
            samples,
            language=language,
            is_draft=is_draft,
            is_cancelled=lambda: task.is_cancelled or task.is_too_late,
        )
        reply = {
            "status": "done",
            "text": found.text,
            "language": found.language,
            "confidence": round(found.confidence, 4),
            "no_speech": round(found.no_speech, 4),
            "reasons": found.reasons,
            "model_seconds": round(time.monotonic() - started, 4),
        }
        yield reply, b""

    return work


def synthesis(header: Mapping[str, Any]) -> Work:
    """Chunks of int16 PCM for a text. Raises `BadRequest`."""
    text = header.get("text")
    if not isinstance(text, str):
        raise BadRequest("text must be a string")
    speed = number(header, "speed", 1.0, 0.5, 2.0)

    def work(engine: HibariEngine, _task: Task[HibariEngine]) -> Iterator[Part]:
        for samples in engine.synthesize(text, speed=speed):
            yield {"status": "chunk", "sample_rate": engine.sample_rate}, samples.tobytes()
        yield {"status": "done"}, b""

    return work


def embedding(header: Mapping[str, Any]) -> Work:
    """A float32 matrix for texts. Raises `BadRequest`."""
    texts = header.get("texts")
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise BadRequest("texts must be a list of strings")
    if len(texts) > MAX_TEXTS:
        raise BadRequest(f"More than {MAX_TEXTS} texts: send them in pieces")

    def work(engine: Embeds, task: Task[Embeds]) -> Iterator[Part]:
        rows = [np.zeros((0, engine.dimensions), np.float32)]
        for start in range(0, len(texts), _TEXTS_AT_ONCE):
            if task.is_cancelled:
                return
            if task.is_too_late:
                task.fail("deadline", "The texts were not embedded in time")
                return
            rows.append(engine.embed_now(texts[start : start + _TEXTS_AT_ONCE]))
        vectors = np.concatenate(rows)
        yield {"status": "done", "shape": list(vectors.shape)}, vectors.tobytes()

    return work


def number(header: Mapping[str, Any], name: str, default: float, least: float, most: float) -> float:
    """A number in a header, or its default. Raises `BadRequest`."""
    value = header.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise BadRequest(f"{name} must be a number from {least:g} to {most:g}")
    return float(value)
