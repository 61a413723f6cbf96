"""Whom a call listens to, and whom never."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from tests.support.rtp import (
    FRAME,
    PHONE,
    Bench,
    Sender,
    in_time,
    joined,
    loud_seconds,
    media,
    tone,
)
from worker.lines.rtp.media import Address

STRANGER: Address = ("198.51.100.66", 9999)
NAT: Address = ("203.0.113.5", 61_000)


def test_one_stray_packet_moves_nothing() -> None:
    bench = Bench.of()
    bench.stream.received(Sender(ssrc=9).packet(tone(0.02)).serialize(), STRANGER)
    bench.stream.say(None)
    assert bench.sent[-1][1] == PHONE
    assert not bench.stream.has_heard


def test_a_phone_behind_nat_is_found_by_consecutive_packets_and_answered_there() -> None:
    bench, phone = Bench.of(), Sender()
    for packet in phone.packets(tone(0.08)):
        bench.stream.received(packet.serialize(), NAT)
        bench.clock[0] += 0.02
    bench.stream.say(None)
    assert bench.sent[-1][1] == NAT
    assert loud_seconds(joined(bench.hears([], 0.1))) == pytest.approx(0.08, abs=0.011), "nothing was lost"


@pytest.mark.parametrize("source", [STRANGER, (PHONE[0], 5555), PHONE])
def test_who_comes_later_is_dropped_however_much_they_send(source: Address) -> None:
    bench, phone, stranger = Bench.of(), Sender(), Sender(ssrc=0xBAD, sequence=7)
    heard = bench.hears(in_time(phone.packets(tone(0.1))), 0.1)
    for packet in phone.packets(tone(1.0)):
        bench.stream.received(packet.serialize(), PHONE)
        for loud in stranger.packets(np.full(5 * FRAME, 20_000, np.int16)):
            bench.stream.received(loud.serialize(), source)
        bench.clock[0] += 0.02
        heard += bench.stream.hears()
    bench.stream.say(None)
    assert bench.sent[-1][1] == PHONE
    assert np.abs(joined(heard)).max() < 9000
    assert bench.stream.measured().packets_dropped == 250


def test_a_stranger_does_not_take_over_while_the_phone_is_quiet() -> None:
    bench, phone, stranger = Bench.of(), Sender(), Sender(ssrc=0xBAD)
    bench.hears(in_time(phone.packets(tone(0.2))), 0.2)
    bench.clock[0] += 10
    for packet in stranger.packets(tone(2.0)):
        bench.stream.received(packet.serialize(), STRANGER)
    bench.stream.say(None)
    assert bench.sent[-1][1] == PHONE


def test_a_phone_that_begins_a_new_stream_is_heard_again() -> None:
    bench = Bench.of()
    bench.hears(in_time(Sender().packets(tone(0.2))), 0.5)
    frames = bench.hears(in_time(Sender(ssrc=0x77, sequence=9).packets(tone(1.0))), 1.2)
    assert loud_seconds(joined(frames)) > 0.95
    assert bench.stream.measured().packets_lost == 0


def test_what_was_signalled_anew_may_follow() -> None:
    bench = Bench.of()
    bench.hears(in_time(Sender().packets(tone(0.2))), 0.2)
    bench.stream.change(media(remote=NAT))
    for packet in Sender(ssrc=5).packets(tone(0.2)):
        bench.stream.received(packet.serialize(), NAT)
    bench.stream.say(None)
    assert bench.sent[-1][1] == NAT


@settings(max_examples=300, deadline=None)
@given(some.binary(max_size=200), some.booleans())
def test_no_bytes_of_a_stranger_raise_anything(data: bytes, looks_like_rtp: bool) -> None:
    bench = Bench.of()
    made = (b"\x80\x00" + data) if looks_like_rtp else data
    for _ in range(3):
        bench.stream.received(made, PHONE)
        bench.stream.reported(b"\x81\xc9" + data, PHONE)
        bench.stream.reported(data, PHONE)
    bench.stream.hears()
