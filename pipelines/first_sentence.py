"""When the first whole sentence of an answer was there: what a voice waits for before it can begin."""

import re
import time
from collections.abc import AsyncIterable, AsyncIterator
from typing import TypeVar

from livekit.agents import FlushSentinel, llm

_END = re.compile(r"[.!?…:;][\"'”’)\]]*\s|[。！？؟।]|\n")

Piece = TypeVar("Piece", bound="llm.ChatChunk | str | FlushSentinel")


class FirstSentence:
    """Measures one answer after the other. `ms` is that of the newest, None until its sentence is whole."""

    def __init__(self) -> None:
        self.ms: float | None = None

    async def timed(self, pieces: AsyncIterable[Piece]) -> AsyncIterator[Piece]:
        """The same pieces; counts from now to the end of the first sentence, else to that of them all."""
        self.ms, began, text = None, time.perf_counter(), ""
        async for piece in pieces:
            if self.ms is None:
                text += _text_of(piece)
                if _END.search(text):
                    self.ms = (time.perf_counter() - began) * 1000
            yield piece
        if self.ms is None and text.strip():
            self.ms = (time.perf_counter() - began) * 1000


def _text_of(piece: llm.ChatChunk | str | FlushSentinel) -> str:
    if isinstance(piece, str):
        return piece
    return (piece.delta.content or "") if isinstance(piece, llm.ChatChunk) and piece.delta else ""
