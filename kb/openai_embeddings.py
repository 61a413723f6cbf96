"""Embeddings from any server that speaks OpenAI's protocol, by its address."""

import asyncio
import contextlib
import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from kb.asking import Answer, Ask
from kb.embeddings import Vectors

_BATCH = 64
_CHARACTERS = 8_000
"""Of one text; about what every such model reads at once."""
_MAX_BYTES = 64_000_000
_TRIES = 4
_WAIT_SECONDS = 1.0
_LONGEST_WAIT_SECONDS = 20.0


class EmbedderFailed(Exception):
    """The embedding server did not give vectors"""


class OpenAiEmbedder:
    """A `kb.embeddings.Embedder` that asks `POST {base_url}/embeddings`. Raises `EmbedderFailed`.

    `failures` are what `ask` raises. A server that is busy (429) or broken (5xx) is asked again, up to
    `tries` times in all. Some models want to be told which side of a comparison a text is on: `prefix` goes
    before each. Use `connected` where the number of dimensions is not known.
    """

    def __init__(
        self,
        ask: Ask,
        *,
        base_url: str,
        model: str,
        dimensions: int,
        api_key: str = "",
        prefix: str = "",
        failures: tuple[type[Exception], ...] = (),
        timeout_seconds: float = 30.0,
        tries: int = _TRIES,
    ) -> None:
        self.dimensions = dimensions
        self.space = f"{_server(base_url)}{model}:{dimensions}" + (f":{prefix}" if prefix else "")
        self._ask = ask
        self._failures: tuple[type[Exception], ...] = (*failures, TimeoutError)
        self._url = base_url.rstrip("/") + "/embeddings"
        self._model, self._prefix, self._timeout = model, prefix, timeout_seconds
        self._tries = tries
        self._headers: Mapping[str, str] = {"Authorization": f"Bearer {api_key}"} if api_key else {}

    @classmethod
    async def connected(cls, ask: Ask, *, base_url: str, model: str, **options: Any) -> "OpenAiEmbedder":
        """The same, with as many dimensions as the server's first answer has."""
        probe = cls(ask, base_url=base_url, model=model, dimensions=0, **options)
        (row,) = await probe._rows(["dimensions"])
        return cls(ask, base_url=base_url, model=model, dimensions=len(row), **options)

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """See `Embedder.embed`."""
        rows: list[Vectors] = [np.zeros((0, self.dimensions), np.float32)]
        for start in range(0, len(texts), _BATCH):
            batch = [self._prefix + text[:_CHARACTERS] for text in texts[start : start + _BATCH]]
            found = await self._rows(batch)
            if found.shape[1] != self.dimensions:
                raise EmbedderFailed("The embedding server gave vectors of another length than before")
            rows.append(found)
        return np.concatenate(rows)

    async def _rows(self, batch: Sequence[str]) -> Vectors:
        # An empty text is an error to OpenAI, and a space is not.
        asked = {"model": self._model, "input": [text or " " for text in batch], "encoding_format": "float"}
        answer = await self._answered(asked)
        if answer.status != 200 or answer.is_cut:
            raise EmbedderFailed(_said(answer))
        return await asyncio.to_thread(_vectors, answer.body, len(batch))

    async def _answered(self, asked: Mapping[str, Any]) -> Answer:
        wait = _WAIT_SECONDS
        for attempt in range(self._tries):
            is_last = attempt == self._tries - 1
            try:
                answer = await self._ask(
                    "POST", self._url, headers=self._headers, json=asked,
                    timeout_seconds=self._timeout, max_bytes=_MAX_BYTES,
                )  # fmt: skip
            except self._failures as error:
                if is_last:
                    raise EmbedderFailed(f"The embedding server could not be asked: {error}") from error
            else:
                if is_last or (answer.status != 429 and answer.status < 500):
                    return answer
                told = answer.headers.get("Retry-After", "")
                wait = min(float(told), _LONGEST_WAIT_SECONDS) if told.isdigit() else wait
            await asyncio.sleep(wait)
            wait = min(wait * 2, _LONGEST_WAIT_SECONDS)
        raise EmbedderFailed


def _server(base_url: str) -> str:
    return f"openai:{urlsplit(base_url).hostname or base_url}:"


def place_of(space: str, base_url: str) -> tuple[str, int] | None:
    """Model and dimensions of a space without a prefix; None for one that is not of this server."""
    model, _, dimensions = space.removeprefix(_server(base_url)).rpartition(":")
    is_of_it = space.startswith(_server(base_url)) and model and dimensions.isdigit()
    return (model, int(dimensions)) if is_of_it else None


def _said(answer: Answer) -> str:
    if answer.is_cut:
        return "The embedding server's answer was too long"
    if answer.status in (401, 403):  # what it says of a key repeats a part of it
        return f"The embedding server answered {answer.status}: it does not accept the operator's key"
    reason = ""
    with contextlib.suppress(ValueError, KeyError, TypeError):
        reason = str(json.loads(answer.body)["error"]["message"])[:200]
    return f"The embedding server answered {answer.status}" + (f": {reason}" if reason else "")


def _vectors(body: bytes, count: int) -> Vectors:
    try:
        data = sorted(json.loads(body)["data"], key=lambda each: each["index"])
        rows = np.array([each["embedding"] for each in data], np.float32)
    except (ValueError, KeyError, TypeError) as error:
        raise EmbedderFailed("The embedding server's answer could not be read") from error
    if rows.ndim != 2 or len(rows) != count or not np.isfinite(rows).all():
        raise EmbedderFailed("The embedding server did not give one vector for each text")
    unit: Vectors = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return unit
