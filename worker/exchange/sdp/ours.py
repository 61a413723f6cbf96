"""Offers and answers of ours, and what comes of theirs."""

from dataclasses import dataclass, replace

from worker.exchange.sdp.reading import MIRRORED, NOISE, Described, Direction, NoCodec
from worker.lines.rtp.media import Address, CodecName, Media, OurDirection

_TYPES: dict[CodecName, int] = {"PCMU": 0, "PCMA": 8, "G722": 9}
_DIGITS = 101


@dataclass(frozen=True)
class Ours:
    """Our side of one call. `version` goes up with each description that says something else."""

    address: Address
    session_id: int
    version: int = 1
    codecs: tuple[CodecName, ...] = ("PCMU", "PCMA", "G722")

    @property
    def sockets(self) -> frozenset[Address]:
        """Where we listen, for sound and for reports: nobody else's sound is to be sent there."""
        host, port = self.address
        return frozenset((self.address, (host, port + 1)))

    def next(self) -> "Ours":
        """For the next description."""
        return replace(self, version=self.version + 1)

    def offer(self, direction: Direction = "sendrecv") -> bytes:
        """All that we speak."""
        types = [_TYPES[name] for name in self.codecs]
        maps = [f"a=rtpmap:{_TYPES[name]} {name}/8000" for name in self.codecs]
        formats = [*types, NOISE, _DIGITS]
        maps += [f"a=rtpmap:{NOISE} CN/8000", *_digit_lines(_DIGITS)]
        return self._written([_stream(self.address[1], formats, maps, direction)])

    def offer_again(self, media: Media, direction: OurDirection) -> bytes:
        """In mid-call: what is spoken already, with its numbers, which must not change (RFC 3264, 8.3.2)."""
        formats, maps = _spoken(
            media.payload_type, media.codec, media.noise_payload_type, media.digits_payload_type
        )
        return self._written([_stream(self.address[1], formats, maps, direction)])

    def agreed_again(self, answer: Described, media: Media, direction: OurDirection) -> Media:
        """What an answer to `offer_again` means. Raises `NoCodec` for another codec."""
        if media.codec not in (name for _, name in answer.codecs):
            raise NoCodec
        digits, noise = media.digits_payload_type, media.noise_payload_type
        return _media(answer, media.payload_type, media.codec, digits, noise, direction)

    def answer(
        self, offer: Described, *, keep: CodecName | None = None, direction: OurDirection = "sendrecv"
    ) -> tuple[bytes, Media]:
        """What we take of an offer: its first codec of ours, or the one that is spoken already.

        `direction` is what we want of it: whom we hold stays on hold.
        """
        mine = [(type_, name) for type_, name in offer.codecs if name in self.codecs]
        if keep is not None:
            mine = [one for one in mine if one[1] == keep]
        if not mine:
            raise NoCodec
        type_, name = mine[0]
        formats, maps = _spoken(type_, name, offer.noise, offer.digits)
        ours = _stream(self.address[1], formats, maps, _answering(offer.direction, direction))
        streams = []
        for number, kind in enumerate(offer.kinds):
            # A stream that we do not want is answered too, with no port (RFC 3264, 6).
            what, protocol, format_ = [*kind.split(), "RTP/AVP", "0"][:3]
            streams.append(ours if number == offer.number else [f"m={what} 0 {protocol} {format_}"])
        return self._written(streams), _media(offer, type_, name, offer.digits, offer.noise, direction)

    def agreed(self, answer: Described) -> Media:
        """What an answer to our offer means. Raises `NoCodec` for one that we never offered."""
        for type_, name in answer.codecs:
            if name in self.codecs and type_ == _TYPES[name]:
                # RFC 3264, 6.1: what we send is numbered as they have it, whatever we called it.
                made = _media(answer, type_, name, answer.digits, NOISE if answer.noise == NOISE else None)
                is_other = answer.digits not in (None, _DIGITS)
                return replace(made, offered_digits_type=_DIGITS if is_other else None)
        raise NoCodec

    def _written(self, streams: list[list[str]]) -> bytes:
        host = self.address[0]
        family = "IP6" if ":" in host else "IP4"
        lines = [
            "v=0",
            f"o=call2me {self.session_id} {self.version} IN {family} {host}",
            "s=-",
            f"c=IN {family} {host}",
            "t=0 0",
            *[line for stream in streams for line in stream],
        ]
        return ("\r\n".join(lines) + "\r\n").encode()


def _answering(theirs: Direction, ours: OurDirection) -> Direction:
    """What of an offer is granted: we hear nothing while we hold, nor send when all is to be quiet."""
    granted = MIRRORED[theirs]
    sends = granted in ("sendrecv", "sendonly") and ours != "inactive"
    hears = granted in ("sendrecv", "recvonly") and ours == "sendrecv"
    if sends:
        return "sendrecv" if hears else "sendonly"
    return "recvonly" if hears else "inactive"


def _spoken(
    type_: int, name: CodecName, noise: int | None, digits: int | None
) -> tuple[list[int], list[str]]:
    formats, maps = [type_], [f"a=rtpmap:{type_} {name}/8000"]
    if noise is not None:
        formats.append(noise)
        maps.append(f"a=rtpmap:{noise} CN/8000")
    if digits is not None:
        formats.append(digits)
        maps += _digit_lines(digits)
    return formats, maps


def _digit_lines(type_: int) -> list[str]:
    return [f"a=rtpmap:{type_} telephone-event/8000", f"a=fmtp:{type_} 0-15"]


def _stream(port: int, formats: list[int], maps: list[str], direction: Direction) -> list[str]:
    listed = " ".join(str(one) for one in formats)
    return [f"m=audio {port} RTP/AVP {listed}", *maps, "a=ptime:20", f"a={direction}", f"a=rtcp:{port + 1}"]


def _media(
    described: Described,
    type_: int,
    name: CodecName,
    digits: int | None,
    noise: int | None,
    ours: OurDirection = "sendrecv",
) -> Media:
    return Media(
        codec=name,
        payload_type=type_,
        remote=described.remote,
        digits_payload_type=digits,
        noise_payload_type=noise,
        remote_rtcp=described.rtcp,
        they_send=described.direction in ("sendrecv", "sendonly") and ours == "sendrecv",
        they_listen=described.direction in ("sendrecv", "recvonly") and ours != "inactive",
        ours=ours,
    )
