"""How a vendor fails: with a status, a cut, garbage, a drip, half an answer, or not at all."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Literal, TypeVar

from aiohttp import web

Fault = Literal["", "401", "429", "500", "cut", "garbage", "drip", "stall", "silent"]
FAULTS: tuple[Fault, ...] = ("401", "429", "500", "cut", "garbage", "drip", "stall", "silent")
GARBAGE = "<html>\x00 502 bad gateway {"
DRIP_SECONDS = 0.7

Piece = TypeVar("Piece")


class Cut(Exception):
    """The connection breaks here"""


async def pieces(fault: Fault, whole: Iterable[Piece]) -> AsyncIterator[Piece]:
    """The pieces of an answer, as far as they come and as they come."""
    listed = list(whole)
    for index, piece in enumerate(listed):
        is_half = index >= len(listed) // 2
        if fault == "silent" or (fault == "stall" and is_half):
            await asyncio.sleep(3600)
        if fault == "cut" and is_half:
            raise Cut
        if fault == "drip" and index:
            await asyncio.sleep(DRIP_SECONDS)
        yield piece


def status(fault: Fault) -> int | None:
    """The status of a fault that is one."""
    return int(fault) if fault.isdigit() else None


def hang_up(request: web.Request) -> None:
    """Not with a close frame, not with the end of a body: the socket is gone."""
    if request.transport is not None:
        request.transport.abort()
