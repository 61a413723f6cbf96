"""How the models process is asked: frames on a Unix socket, and what may go wrong.

        length of header   length of payload   header (JSON)   payload (raw)
        4 bytes            4 bytes             ≤ 1 MiB          ≤ 16 MiB

Many requests share one connection; each reply carries the id of its request. What may be asked and
answered is in docs/architecture.md, "The models process".
"""

import asyncio
import json
import struct
from dataclasses import dataclass
from typing import Any, Literal

MAX_HEADER_BYTES = 1 << 20
MAX_PAYLOAD_BYTES = 16 << 20
MAX_SOCKET_PATH_BYTES = 107
"""The kernel's limit for the address of a Unix socket (104 on macOS)."""

_LENGTHS = struct.Struct(">II")

Urgency = Literal["now", "later", "if_idle"]
"""`later` waits behind every `now`; `if_idle` is refused as busy unless nothing else is under way."""


# ── errors ───────────────────────────────────────────────────────────────────────────────────────
#   ModelsError ── ModelBusy · DeadlinePassed · BadRequest · ModelUnavailable · ModelFailed · ModelsGone
class ModelsError(Exception):
    """The models process did not do what was asked"""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (type(self).__doc__ or ""))


class ModelBusy(ModelsError):
    """The model has more to do than it may take on"""


class DeadlinePassed(ModelsError):
    """The model did not answer in time"""


class BadRequest(ModelsError):
    """The models process does not understand the request"""


class ModelUnavailable(ModelsError):
    """The model is not installed here"""


class ModelFailed(ModelsError):
    """The model failed"""


class ModelsGone(ModelsError):
    """The models process is not there"""


class GarbledFrame(Exception):
    """What came over the socket is not a frame"""


ERRORS: dict[str, type[ModelsError]] = {
    "busy": ModelBusy,
    "deadline": DeadlinePassed,
    "bad_request": BadRequest,
    "unavailable": ModelUnavailable,
    "failed": ModelFailed,
}


# ── frames ───────────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True)
class Frame:
    """One message. `header["id"]` says which request it belongs to."""

    header: dict[str, Any]
    payload: bytes = b""

    def encode(self) -> bytes:
        """As it travels. Raises `BadRequest` when it is too large to."""
        header = json.dumps(self.header, separators=(",", ":")).encode()
        if len(header) > MAX_HEADER_BYTES or len(self.payload) > MAX_PAYLOAD_BYTES:
            raise BadRequest("The request is too large")
        return _LENGTHS.pack(len(header), len(self.payload)) + header + self.payload


async def read_frame(reader: asyncio.StreamReader) -> Frame | None:
    """The next frame, None at the end of the stream.

    Raises `GarbledFrame` for anything else, also for a stream that ends within a frame.
    """
    try:
        lengths = await reader.readexactly(_LENGTHS.size)
    except asyncio.IncompleteReadError as error:
        if not error.partial:
            return None
        raise GarbledFrame from error
    header_bytes, payload_bytes = _LENGTHS.unpack(lengths)
    if header_bytes > MAX_HEADER_BYTES or payload_bytes > MAX_PAYLOAD_BYTES:
        raise GarbledFrame
    try:
        header = json.loads(await reader.readexactly(header_bytes))
        payload = await reader.readexactly(payload_bytes)
    except (asyncio.IncompleteReadError, ValueError, RecursionError) as error:
        raise GarbledFrame from error
    if not isinstance(header, dict) or not isinstance(header.get("id"), int):
        raise GarbledFrame
    return Frame(header, payload)


# ── answers ───────────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True)
class Heard:
    """What was understood of one stretch of sound. An empty `text` means: no words.

    `confidence` is the mean probability of a token, 0 to 1; `reasons` say what the guards did.
    """

    text: str
    language: str
    confidence: float
    reasons: tuple[str, ...] = ()
    model_seconds: float = 0.0
