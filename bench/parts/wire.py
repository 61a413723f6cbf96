"""How the paced caller's process and the host of the calls speak: one Unix socket for each call.

Four bytes before each message: its kind and its length. Sound is 16 kHz int16 mono towards the host, 24 kHz
back; `label` says which utterance begins with the next frame, so that the oracle knows what it hears.
"""

import asyncio
import struct

SOUND, LABEL = b"S", b"L"
_HEAD = struct.Struct(">cxH")


def packed(kind: bytes, body: bytes) -> bytes:
    """One message."""
    return _HEAD.pack(kind, len(body)) + body


async def received(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """The next message. Raises `asyncio.IncompleteReadError` at the end."""
    kind, size = _HEAD.unpack(await reader.readexactly(_HEAD.size))
    return kind, await reader.readexactly(size)
