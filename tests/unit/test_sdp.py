"""Offers and answers as phones, carriers and attackers write them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from worker.exchange.sdp import BadSdp, Described, ForbiddenAddress, NoCodec, Ours, check_address, read
from worker.lines.rtp.media import Address

OURS = Ours(("192.0.2.1", 20_000), 42)

CARRIER = b"""v=0\r
o=- 1 1 IN IP4 198.51.100.7\r
s=call\r
c=IN IP4 198.51.100.7\r
t=0 0\r
m=audio 30000 RTP/AVP 18 8 0 96 13\r
a=rtpmap:18 G729/8000\r
a=rtpmap:8 PCMA/8000\r
a=rtpmap:0 PCMU/8000\r
a=rtpmap:96 telephone-event/8000\r
a=fmtp:96 0-16\r
a=ptime:20\r
a=rtcp:30007 IN IP4 203.0.113.66\r
"""


def test_the_first_codec_of_theirs_that_we_speak_is_taken_with_their_payload_types() -> None:
    offer = read(CARRIER)
    answer, media = OURS.answer(offer)
    assert (media.codec, media.payload_type, media.remote) == ("PCMA", 8, ("198.51.100.7", 30_000))
    assert (media.digits_payload_type, media.noise_payload_type) == (96, 13)
    assert media.remote_rtcp == ("198.51.100.7", 30_007), "not the third party's address"
    assert b"m=audio 20000 RTP/AVP 8 13 96\r\n" in answer
    assert b"a=fmtp:96 0-15" in answer
    assert b"o=call2me 42 1 IN IP4 192.0.2.1" in answer


def test_what_we_offer_and_they_answer_is_agreed_on() -> None:
    offer = read(OURS.offer())
    assert [name for _, name in offer.codecs] == ["PCMU", "PCMA", "G722"]
    theirs, media = Ours(("198.51.100.7", 4000), 1).answer(offer)
    agreed = OURS.agreed(read(theirs))
    assert (agreed.codec, agreed.remote, agreed.digits_payload_type) == ("PCMU", ("198.51.100.7", 4000), 101)
    assert agreed.offered_digits_type is None
    renamed = theirs.replace(b"101", b"96")
    agreed = OURS.agreed(read(renamed))
    assert (agreed.digits_payload_type, agreed.offered_digits_type) == (96, 101)
    assert media.remote == OURS.address


@pytest.mark.parametrize(
    ("line", "they_send", "they_listen", "ours"),
    [
        (b"a=sendonly", True, False, b"a=recvonly"),
        (b"a=inactive", False, False, b"a=inactive"),
        (b"a=recvonly", False, True, b"a=sendonly"),
        (b"a=sendrecv", True, True, b"a=sendrecv"),
    ],
)
def test_hold_is_answered_with_its_mirror(
    line: bytes, they_send: bool, they_listen: bool, ours: bytes
) -> None:
    answer, media = OURS.answer(read(CARRIER + line + b"\r\n"))
    assert (media.they_send, media.they_listen) == (they_send, they_listen)
    assert media.is_on_hold == (line != b"a=sendrecv")
    assert ours in answer


def test_the_old_way_to_hold_is_understood() -> None:
    offer = read(CARRIER.replace(b"c=IN IP4 198.51.100.7", b"c=IN IP4 0.0.0.0"))
    _, media = OURS.answer(offer)
    assert (media.they_send, media.they_listen) == (False, False)
    check_address(offer.remote, "198.51.100.7")


def test_a_stream_of_pictures_is_answered_and_refused() -> None:
    offer = read(CARRIER + b"m=video 31000 RTP/AVP 99\r\na=rtpmap:99 H264/90000\r\n")
    answer, _ = OURS.answer(offer)
    assert answer.count(b"m=") == 2
    assert b"m=video 0 RTP/AVP 99" in answer


def test_a_codec_that_is_spoken_already_stays() -> None:
    _, media = OURS.answer(read(CARRIER), keep="PCMU")
    assert media.codec == "PCMU"
    with pytest.raises(NoCodec):
        OURS.answer(read(CARRIER), keep="G722")


@pytest.mark.parametrize(
    "body",
    [
        CARRIER.replace(b"18 8 0 96 13", b"18"),
        CARRIER.replace(b"RTP/AVP", b"RTP/SAVP"),
        CARRIER.replace(b"m=audio 30000", b"m=audio 0"),
        CARRIER.replace(b"PCMU/8000", b"PCMU/16000").replace(b"PCMA/8000", b"PCMA/16000"),
    ],
)
def test_nothing_that_we_speak_is_no_codec(body: bytes) -> None:
    with pytest.raises(NoCodec):
        read(body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"hello",
        b"\xff\xfe",
        b"v=1\r\n",
        CARRIER.replace(b"c=IN IP4 198.51.100.7\r\n", b""),
        CARRIER.replace(b"c=IN IP4 198.51.100.7", b"c=IN IP4 carrier.example"),
        CARRIER.replace(b"m=audio 30000", b"m=audio 99999"),
        CARRIER + b"a=x\r\n" * 1000,
        b"v=0\r\n" + b"a" * 100_000,
        b"v=0\r\ns=-\r\n",
    ],
)
def test_what_cannot_be_read_is_said_to_be_that(body: bytes) -> None:
    with pytest.raises(BadSdp):
        read(body)


@settings(max_examples=500, deadline=None)
@given(some.binary(max_size=60), some.integers(0, len(CARRIER)), some.integers(0, 40))
def test_whatever_is_written_only_these_errors_come(junk: bytes, at: int, cut: int) -> None:
    try:
        found = read(CARRIER[:at] + junk + CARRIER[at + cut :])
        assert isinstance(found, Described)
        OURS.answer(found)
    except (BadSdp, NoCodec):
        pass


@pytest.mark.parametrize(
    ("address", "source", "is_allowed"),
    [
        (("198.51.100.7", 30_000), "198.51.100.7", True),
        (("203.0.113.5", 30_000), "198.51.100.7", True),
        (("10.0.0.5", 30_000), "198.51.100.7", True),
        (("127.0.0.1", 30_000), "198.51.100.7", False),
        (("127.0.0.1", 30_000), "127.0.0.1", True),
        (("169.254.169.254", 30_000), "198.51.100.7", False),
        (("239.0.0.1", 30_000), "198.51.100.7", False),
        (("255.255.255.255", 30_000), "198.51.100.7", False),
        (("198.51.100.7", 53), "198.51.100.7", False),
        (("192.0.2.1", 5060), "198.51.100.7", False),
    ],
)
def test_sound_is_sent_only_where_a_phone_can_be(address: Address, source: str, is_allowed: bool) -> None:
    ours = frozenset({("192.0.2.1", 5060)})
    if is_allowed:
        check_address(address, source, ours)
    else:
        with pytest.raises(ForbiddenAddress):
            check_address(address, source, ours)
