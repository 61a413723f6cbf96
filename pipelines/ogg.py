"""Ogg pages with Opus in them: written one at a time, mended after a crash, joined (RFC 3533, RFC 7845)."""

import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO

CLOCK_HZ = 48_000
"""Opus in Ogg counts in 48 kHz samples, whatever went in."""

_HEADER = struct.Struct("<4sBBqIIIB")
_CAPTURE = b"OggS"
_CRC_OFFSET = 22
_FLAGS_OFFSET = 5
_BEGIN, _END = 0x02, 0x04
_MAX_SEGMENTS = 255

SILENT_PACKET = b"\xfc\xff\xfe"
"""20 ms of stereo in which nothing is to be heard, as Opus has it."""
SILENT_SAMPLES = CLOCK_HZ // 50
LONGEST_GAP_SECONDS = 120
"""A clock that was set anew in a call must not make hours of silence."""
_BEGAN = b"CALL2ME_BEGAN_MS="


def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        value = byte << 24
        for _ in range(8):
            value = ((value << 1) ^ 0x04C11DB7 if value & 0x80000000 else value << 1) & 0xFFFFFFFF
        table.append(value)
    return tuple(table)


_TABLE = _crc_table()


def _crc(data: bytes) -> int:
    value = 0
    for byte in data:
        value = ((value << 8) & 0xFFFFFFFF) ^ _TABLE[(value >> 24) ^ byte]
    return value


def _with_crc(page: bytearray) -> bytes:
    page[_CRC_OFFSET : _CRC_OFFSET + 4] = bytes(4)
    struct.pack_into("<I", page, _CRC_OFFSET, _crc(bytes(page)))
    return bytes(page)


class OpusPages:
    """Makes the pages of one Opus stream, in order: `headers()` once, then `page()` for each batch.

    `opus_head` is the encoder's identification header (19 bytes for two channels).
    """

    def __init__(self, opus_head: bytes, serial: int, began_ms: int = 0) -> None:
        """`began_ms` is the moment of the first sample in milliseconds since 1970; 0 if nobody knows."""
        self._head = opus_head
        self._serial = serial
        self._began_ms = began_ms
        self._sequence = 0

    def headers(self) -> bytes:
        """The two pages that open the stream; they hold no sound."""
        vendor = b"call2me"
        comments = [_BEGAN + str(self._began_ms).encode()] if self._began_ms else []
        tags = b"OpusTags" + struct.pack("<I", len(vendor)) + vendor + struct.pack("<I", len(comments))
        tags += b"".join(struct.pack("<I", len(comment)) + comment for comment in comments)
        return self._page([self._head], 0, _BEGIN) + self._page([tags], 0, 0)

    def page(self, packets: Sequence[bytes], granule: int, *, is_last: bool = False) -> bytes:
        """One page; `granule` counts the samples up to the end of its last packet."""
        return self._page(packets, granule, _END if is_last else 0)

    def _page(self, packets: Sequence[bytes], granule: int, flags: int) -> bytes:
        lacing = b"".join(b"\xff" * (len(packet) // 255) + bytes([len(packet) % 255]) for packet in packets)
        if len(lacing) > _MAX_SEGMENTS:
            raise ValueError("too many packets for one page")
        header = _HEADER.pack(_CAPTURE, 0, flags, granule, self._serial, self._sequence, 0, len(lacing))
        self._sequence += 1
        return _with_crc(bytearray(header + lacing + b"".join(packets)))


@dataclass(frozen=True)
class _Page:
    start: int
    end: int
    granule: int
    flags: int


def _pages(file: BinaryIO) -> Iterator[_Page]:
    """Whole pages by their lengths; ends at the first byte that is not one. Reads headers only."""
    size = os.fstat(file.fileno()).st_size
    start = 0
    while True:
        file.seek(start)
        header = file.read(_HEADER.size)
        if len(header) < _HEADER.size:
            return
        capture, version, flags, granule, _, _, _, segments = _HEADER.unpack(header)
        lacing = file.read(segments)
        end = start + _HEADER.size + segments + sum(lacing)
        if capture != _CAPTURE or version != 0 or len(lacing) < segments or end > size:
            return
        yield _Page(start, end, granule, flags)
        start = end


def seal(path: Path) -> int:
    """Make a recording whole that may have been torn off, and return how many milliseconds it holds.

    Cuts behind the last whole page whose checksum holds and marks it as the end. Doing it again
    changes nothing. Returns 0 (and leaves the file alone) when there is no sound in it.
    """
    with path.open("r+b") as file:
        pages = list(_pages(file))
        while len(pages) > 2 and not _holds(file, pages[-1]):
            pages.pop()
        if len(pages) <= 2:
            return 0
        last = pages[-1]
        if not last.flags & _END:
            file.seek(last.start)
            page = bytearray(file.read(last.end - last.start))
            page[_FLAGS_OFFSET] |= _END
            file.seek(last.start)
            file.write(_with_crc(page))
        file.truncate(last.end)
        file.flush()
        os.fsync(file.fileno())
        file.seek(pages[0].start + _HEADER.size + 1)
        (pre_skip,) = struct.unpack_from("<H", file.read(12), 10)
        return max(0, (last.granule - int(pre_skip)) * 1000 // CLOCK_HZ)


def _holds(file: BinaryIO, page: _Page) -> bool:
    file.seek(page.start)
    data = bytearray(file.read(page.end - page.start))
    (stored,) = struct.unpack_from("<I", data, _CRC_OFFSET)
    data[_CRC_OFFSET : _CRC_OFFSET + 4] = bytes(4)
    return bool(_crc(bytes(data)) == stored)


def join(parts: Sequence[Path], into: Path) -> int:
    """Several recordings of one call as one, the time between them kept as silence; how many ms it holds.

    They must be of one encoder's settings. What is no recording is passed over; 0, and no file, when
    nothing is left. Reads and writes page by page.
    """
    made: OpusPages | None = None
    began_ms = granule = pre_skip = 0
    with into.open("wb") as out:
        for path in parts:
            with path.open("rb") as file:
                headers = list(islice(_pages(file), 2))
                if len(headers) < 2:
                    continue
                head, tags = (_packets(file, page)[0] for page in headers)
                began = _began_in(tags)
                if made is None:
                    began_ms = began
                    (pre_skip,) = struct.unpack_from("<H", head, 10)
                    made = OpusPages(head, int.from_bytes(os.urandom(4)), began_ms)
                    out.write(made.headers())
                elif began and began_ms:
                    granule = _fill(out, made, granule, began - began_ms)
                base = granule
                for page in islice(_pages(file), 2, None):
                    granule = base + page.granule
                    out.write(made.page(_packets(file, page), granule))
    if made is None or granule == 0:
        into.unlink()
        return 0
    seal(into)
    return max(0, (granule - pre_skip) * 1000 // CLOCK_HZ)


def _fill(out: BinaryIO, made: OpusPages, granule: int, until_ms: int) -> int:
    """Silence up to a moment on the recording's own clock; returns the new end."""
    missing = until_ms * CLOCK_HZ // 1000 - granule
    left = max(0, min(missing, LONGEST_GAP_SECONDS * CLOCK_HZ)) // SILENT_SAMPLES
    while left > 0:
        count = min(left, 50)
        granule += count * SILENT_SAMPLES
        out.write(made.page([SILENT_PACKET] * count, granule))
        left -= count
    return granule


def _packets(file: BinaryIO, page: _Page) -> list[bytes]:
    """The packets of one page; ours never go across pages."""
    file.seek(page.start + _HEADER.size - 1)
    (segments,) = file.read(1)
    lacing = file.read(segments)
    packets, length = [], 0
    for lace in lacing:
        length += lace
        if lace < 255:
            packets.append(file.read(length))
            length = 0
    return packets


def _began_in(tags: bytes) -> int:
    at = tags.find(_BEGAN)
    digits = tags[at + len(_BEGAN) :].split(b"\x00")[0] if at >= 0 else b""
    return int(digits) if digits.isdigit() and len(digits) < 15 else 0
