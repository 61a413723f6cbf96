"""A name server for tests: SRV and A records for names that are nobody's, over UDP."""

import asyncio
import struct
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from ipaddress import IPv4Address
from typing import cast

# Priority, weight, port, target; or an address.
Record = tuple[int, int, int, str] | IPv4Address


class _Server(asyncio.DatagramProtocol):
    def __init__(self, records: Mapping[str, list[Record]]) -> None:
        self._records = records

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        name, end = _name(data)
        kind = struct.unpack_from("!H", data, end)[0]
        found = [packed for record in self._records.get(name, []) if (packed := _packed(record, kind))]
        flags = 0x8180 if name in self._records else 0x8183
        header = data[:2] + struct.pack("!HHHHH", flags, 1, len(found), 0, 0)
        question = data[12 : end + 4]
        answers = b"".join(
            b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 5, len(packed)) + packed for packed in found
        )
        self._transport.sendto(header + question + answers, address)


def _name(data: bytes) -> tuple[str, int]:
    at, labels = 12, []
    while size := data[at]:
        labels.append(data[at + 1 : at + 1 + size].decode().lower())
        at += 1 + size
    return ".".join(labels), at + 1


def _packed(record: Record, kind: int) -> bytes | None:
    if isinstance(record, IPv4Address):
        return record.packed if kind == 1 else None
    priority, weight, port, target = record
    labels = b"".join(bytes([len(label)]) + label.encode() for label in target.split("."))
    return struct.pack("!HHH", priority, weight, port) + labels + b"\0" if kind == 33 else None


@asynccontextmanager
async def name_server(records: Mapping[str, list[Record]]) -> AsyncIterator[str]:
    """Where it listens, as "127.0.0.1:port"."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: _Server(records), local_addr=("127.0.0.1", 0))
    try:
        yield f"127.0.0.1:{transport.get_extra_info('sockname')[1]}"
    finally:
        transport.close()
