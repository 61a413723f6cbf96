"""Offers and answers as strangers wrote them: bounded, and where the sound is to be sent comes first."""

import ipaddress
import re
from dataclasses import dataclass
from typing import Literal

from worker.lines.rtp.media import Address, CodecName

MOST_BYTES = 16_384
MOST_LINES = 400
MOST_FORMATS = 64
Direction = Literal["sendrecv", "sendonly", "recvonly", "inactive"]

_KNOWN: dict[int, CodecName] = {0: "PCMU", 8: "PCMA", 9: "G722"}
_NAMES: dict[str, CodecName] = {"PCMU": "PCMU", "PCMA": "PCMA", "G722": "G722"}
NOISE = 13
MIRRORED: dict[Direction, Direction] = {
    "sendrecv": "sendrecv",
    "sendonly": "recvonly",
    "recvonly": "sendonly",
    "inactive": "inactive",
}
_RTPMAP = re.compile(r"(\d{1,3}) +([A-Za-z0-9_.-]{1,32})/(\d{1,6})")
_MEDIA = re.compile(r"([a-z]{1,16}) +(\d{1,5})(?:/\d+)? +(\S{1,32})((?: +\S{1,16})*)")


class BadSdp(Exception):
    """This session description cannot be read"""


class NoCodec(Exception):
    """There is nothing in it that we could speak"""


class ForbiddenAddress(Exception):
    """Sound is not sent there"""


@dataclass(frozen=True)
class Described:
    """What one side says of its sound."""

    remote: Address
    codecs: tuple[tuple[int, CodecName], ...]
    """In the order of preference, each with its payload type."""
    digits: int | None
    noise: int | None
    direction: Direction
    rtcp: Address | None
    kinds: tuple[str, ...]
    """Of all its streams, with their protocols: an answer has as many."""
    number: int
    """Which of its streams the sound is."""


def read(body: bytes) -> Described:
    """Read an offer or an answer. Raises `BadSdp`, and `NoCodec` when it has no speech for us."""
    lines = _lines(body)
    starts = [number for number, line in enumerate(lines) if line[0] == "m"]
    if not starts:
        raise BadSdp("no stream")
    session = lines[: starts[0]]
    if len(starts) > 16:
        raise BadSdp("too many streams")
    streams = [lines[a:b] for a, b in zip(starts, [*starts[1:], len(lines)], strict=True)]
    heads = [_MEDIA.fullmatch(stream[0][1]) for stream in streams]
    kinds = tuple(f"{head[1]} {head[3]} {(head[4].split() or ['0'])[0]}" if head else "?" for head in heads)
    for number, (head, stream) in enumerate(zip(heads, streams, strict=True)):
        if head is not None and head[1] == "audio" and head[3] == "RTP/AVP" and int(head[2]) > 0:
            return _described(head, stream, session, kinds, number)
    raise NoCodec


def _lines(body: bytes) -> list[tuple[str, str]]:
    if not body or len(body) > MOST_BYTES:
        raise BadSdp("empty or too long")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise BadSdp("not text") from None
    lines = []
    for line in text.splitlines()[: MOST_LINES + 1]:
        if not line.strip():
            continue
        if len(line) < 2 or line[1] != "=":
            raise BadSdp("a line that is none")
        lines.append((line[0], line[2:].strip()))
    if len(lines) > MOST_LINES or not lines or lines[0] != ("v", "0"):
        raise BadSdp("not version 0")
    return lines


def _described(
    head: re.Match[str],
    stream: list[tuple[str, str]],
    session: list[tuple[str, str]],
    kinds: tuple[str, ...],
    number: int,
) -> Described:
    formats = [int(one) for one in head[4].split() if one.isascii() and one.isdigit() and int(one) < 128]
    maps = {
        int(found[1]): (found[2].upper(), int(found[3]))
        for kind, value in stream
        if kind == "a" and value.startswith("rtpmap:")
        if (found := _RTPMAP.match(value[7:].strip())) is not None
    }
    codecs: list[tuple[int, CodecName]] = []
    digits = noise = None
    for type_ in formats[:MOST_FORMATS]:
        name, rate = maps.get(type_, (_KNOWN.get(type_, ""), 8000))
        if type_ == NOISE and type_ not in maps:
            name = "CN"
        if rate != 8000:
            continue
        if name in _NAMES:
            codecs.append((type_, _NAMES[name]))
        elif name == "TELEPHONE-EVENT" and digits is None:
            digits = type_
        elif name == "CN" and noise is None:
            noise = type_
    if not codecs:
        raise NoCodec
    host = _host(stream) or _host(session)
    if host is None:
        raise BadSdp("no address")
    port = int(head[2])
    if port > 65_535:
        raise BadSdp("no such port")
    direction = _direction(stream) or _direction(session) or "sendrecv"
    if ipaddress.ip_address(host).is_unspecified:
        direction = "inactive"  # hold, as RFC 2543 had it
    return Described(
        (host, port), tuple(codecs), digits, noise, direction, _rtcp(stream, host), kinds, number
    )


def _host(lines: list[tuple[str, str]]) -> str | None:
    for kind, value in lines:
        if kind == "c":
            parts = value.split()
            if len(parts) != 3 or parts[0] != "IN":
                raise BadSdp("an address that is none")
            try:
                return str(ipaddress.ip_address(parts[2].partition("/")[0]))
            except ValueError:
                raise BadSdp("an address that is no number") from None
    return None


def _direction(lines: list[tuple[str, str]]) -> Direction | None:
    for kind, value in lines:
        if kind == "a" and value in MIRRORED:
            return value
    return None


def _rtcp(stream: list[tuple[str, str]], host: str) -> Address | None:
    for kind, value in stream:
        if kind == "a" and value.startswith("rtcp:"):
            parts = value[5:].split()
            if parts and parts[0].isascii() and parts[0].isdigit() and 0 < int(parts[0]) < 65_536:
                return (host, int(parts[0]))  # another host would be a third party
    return None


def check_address(address: Address, source: str, ours: frozenset[Address] = frozenset()) -> None:
    """Raise `ForbiddenAddress` for one that nobody on the other side of `source` can be at.

    A carrier's sound often comes from another machine than its signalling, so another public address is
    fine; nothing but a few packets goes there until it speaks itself (`lines.rtp.unanswered`). `ours` is
    where the call listens itself: its agent would talk to itself for as long as calls last.
    """
    host, told_by = ipaddress.ip_address(address[0]), ipaddress.ip_address(source)
    if host.is_unspecified:
        return  # on hold: nothing is sent
    if host.is_multicast or host == ipaddress.ip_address("255.255.255.255") or address in ours:
        raise ForbiddenAddress
    if address[1] < 1024:
        raise ForbiddenAddress
    if (host.is_loopback and not told_by.is_loopback) or (host.is_link_local and not told_by.is_link_local):
        raise ForbiddenAddress
