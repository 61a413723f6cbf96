"""Keys that the other side presses, until somebody asks for them."""

import asyncio

MOST_KEPT = 64
KEY_CODES = {key: code for code, key in enumerate("0123456789*#ABCD")}
"""A key's number in RFC 4733."""


class Keys:
    """A queue with an end: who types more than anybody reads loses the oldest."""

    def __init__(self) -> None:
        self._pressed: asyncio.Queue[str] = asyncio.Queue(maxsize=MOST_KEPT)

    def pressed(self, key: str) -> None:
        """A key was pressed."""
        if self._pressed.full():
            self._pressed.get_nowait()
        self._pressed.put_nowait(key)

    async def next(self) -> str:
        """The next one."""
        return await self._pressed.get()
