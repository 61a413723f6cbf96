"""Ogg pages with Opus in them: written one at a time, and mended after a crash (RFC 3533, RFC 7845)."""

import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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

    def __init__(self, opus_head: bytes, serial: int) -> None:
        self._head = opus_head
        self._serial = serial
        self._sequence = 0

    def headers(self) -> bytes:
        """The two pages that open the stream; they hold no sound."""
        vendor = b"call2me"
        tags = b"OpusTags" + struct.pack("<I", len(vendor)) + vendor + struct.pack("<I", 0)
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
