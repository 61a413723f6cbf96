"""What a call sends, when, and to whom; the clock is the test's."""

import itertools

import numpy as np
import pytest

from tests.support.rtp import (
    PHONE,
    Bench,
    Sender,
    in_time,
    media,
    tone,
)
from worker.lines.rtp.codecs import codec_of
from worker.lines.rtp.media import Address
from worker.lines.rtp.unanswered import MOST_UNANSWERED

STRANGER: Address = ("198.51.100.66", 9999)
NAT: Address = ("203.0.113.5", 61_000)


def test_an_address_that_never_speaks_gets_ten_seconds_of_sound_and_no_more() -> None:
    bench, phone = Bench.of(), Sender()
    for _ in range(2 * MOST_UNANSWERED):
        bench.stream.say(None)
    assert len(bench.sent) == MOST_UNANSWERED
    bench.stream.change(media(remote=STRANGER))
    bench.stream.say(None)
    assert len(bench.sent) == MOST_UNANSWERED, "naming another one begins nothing anew"
    bench.stream.change(media())
    bench.hears(in_time(phone.packets(tone(0.1))), 0.1)
    bench.stream.say(None)
    assert bench.sent[-1][1] == PHONE, "whoever speaks is answered"


def test_a_call_that_is_moved_to_a_third_party_does_not_flood_it() -> None:
    bench, phone = Bench.of(), Sender()
    bench.hears(in_time(phone.packets(tone(0.1))), 0.1)
    for third in (STRANGER, NAT, STRANGER):
        bench.stream.change(media(remote=third))
        for _ in range(MOST_UNANSWERED):
            bench.stream.say(None)
    assert sum(where != PHONE for _, where in bench.sent) == MOST_UNANSWERED, "all of them together"
    bench.hears(in_time(phone.packets(tone(0.1))), 0.1)
    bench.stream.say(None)
    assert bench.sent[-1][1] == PHONE, "where the phone still is"


def test_a_call_that_is_moved_to_and_fro_floods_no_third_party_either() -> None:
    bench, phone = Bench.of(), Sender()
    for _ in range(8):
        bench.stream.change(media())
        bench.hears(in_time(phone.packets(tone(0.1))), 0.3)
        bench.stream.say(None)
        assert bench.sent[-1][1] == PHONE
        bench.stream.change(media(remote=STRANGER))
        for _ in range(MOST_UNANSWERED // 4):
            bench.stream.say(None)
        bench.stream.report()
    assert sum(where == STRANGER for _, where in bench.sent) == MOST_UNANSWERED, "in all of the call"
    told = [where for _, where in bench.reports]
    assert told == [(STRANGER[0], STRANGER[1] + 1)] * 3, "nor is it told of what it is not sent"


def test_addresses_that_speak_soon_cost_nothing() -> None:
    bench, phone = Bench.of(), Sender()
    for number in range(200):
        where = (PHONE[0], 10_000 + 2 * number)
        bench.stream.change(media(remote=where))
        for packet in phone.packets(tone(0.2)):
            bench.stream.say(None)
            bench.stream.received(packet.serialize(), where)
            bench.clock[0] += 0.02
        bench.stream.say(None)
    assert len(bench.sent) == 200 * 11, "a carrier may move a call as often as it likes"


@pytest.mark.parametrize(
    ("codec", "type_", "rate"), [("PCMU", 0, 8000), ("PCMA", 8, 8000), ("G722", 9, 16000)]
)
def test_what_is_sent_is_what_was_said_on_an_rtp_clock_of_8_khz(codec: str, type_: int, rate: int) -> None:
    bench = Bench.of(media(codec=codec, payload_type=type_))
    assert bench.stream.rate == rate
    said = tone(1.0, rate=rate)
    for start in range(0, len(said), rate // 50):
        bench.stream.say(said[start : start + rate // 50].tobytes())
    packets = [packet for packet, _ in bench.sent]
    assert {packet.payload_type for packet in packets} == {type_}
    assert {len(packet.payload) for packet in packets} == {160}
    assert {(b.timestamp - a.timestamp) & 0xFFFFFFFF for a, b in itertools.pairwise(packets)} == {160}
    assert [packet.marker for packet in packets[:3]] == [1, 0, 0]
    decoder = codec_of(codec)  # type: ignore[arg-type]
    heard = np.frombuffer(b"".join(decoder.decode(packet.payload) for packet in packets), np.int16)
    shifts = range(60)
    assert max(np.corrcoef(said[500:7000], heard[500 + k : 7000 + k])[0, 1] for k in shifts) > 0.99


def test_a_line_on_which_nobody_speaks_is_not_dead() -> None:
    bench = Bench.of()
    for _ in range(100):
        bench.stream.say(None)
    decoder = codec_of("PCMU")
    heard = np.frombuffer(b"".join(decoder.decode(packet.payload) for packet, _ in bench.sent), np.int16)
    assert 2 < np.sqrt(np.mean(heard.astype(float) ** 2)) < 30


def test_frames_that_were_not_sent_in_time_leave_their_place() -> None:
    bench = Bench.of()
    bench.stream.say(None)
    bench.stream.skip(10)
    bench.stream.say(None)
    (first, _), (second, _) = bench.sent
    assert (second.timestamp - first.timestamp) & 0xFFFFFFFF == 11 * 160
    assert second.sequence_number == (first.sequence_number + 1) & 0xFFFF
    assert second.marker
