"""Keys both ways: told once whatever is lost, and never faster than a person could."""

import itertools

import numpy as np
import pytest
from aiortp import DtmfEvent

from tests.support.rtp import (
    RATE,
    Bench,
    Sender,
    in_time,
    key_packets,
    media,
    tone,
)
from worker.lines.rtp.codecs import codec_of


@pytest.mark.parametrize("type_", [101, 96])
@pytest.mark.parametrize("lost", [(), (0,), (5, 6, 7), (0, 1, 2, 3, 4, 5, 6), (1, 2, 3, 4, 5, 6, 7)])
def test_a_key_is_told_once_whichever_of_its_packets_arrive(lost: tuple[int, ...], type_: int) -> None:
    bench, phone = Bench.of(media(digits_payload_type=type_)), Sender()
    arrivals = in_time(phone.packets(tone(0.1)))
    at = 0.2
    for code in (1, 1, 11):
        made = key_packets(phone, code, type_)
        arrivals += [(at + n * 0.02, packet) for n, packet in enumerate(made) if n not in lost]
        at += 0.4
    bench.hears(arrivals, 2.0)
    assert bench.keys == ["1", "1", "#"]
    assert bench.stream.measured().packets_lost == 3 * len(lost) - (len(lost) if 7 in lost else 0)


def test_keys_that_all_have_one_timestamp_are_told_apart() -> None:
    bench, phone = Bench.of(), Sender()
    arrivals = in_time(phone.packets(tone(0.1)))
    at = 0.2
    for code in (4, 4, 2):
        made = key_packets(phone, code)
        for packet in made:
            packet.timestamp = 0
        arrivals += [(at + n * 0.02, packet) for n, packet in enumerate(made)]
        at += 0.3
    bench.hears(arrivals, 2.0)
    assert bench.keys == ["4", "4", "2"]


def test_a_payload_type_that_was_not_agreed_on_presses_nothing() -> None:
    bench, phone = Bench.of(media(digits_payload_type=96)), Sender()
    bench.hears(in_time(phone.packets(tone(0.1))), 0.1)
    bench.hears([(0.01, packet) for packet in key_packets(phone, 5, 101)], 0.2)
    assert bench.keys == []


def test_a_flood_of_keys_presses_as_many_as_a_person_could() -> None:
    bench, phone = Bench.of(), Sender()
    arrivals = in_time(phone.packets(tone(0.1)))
    for number in range(500):
        arrivals += [(0.2 + number * 0.002, packet) for packet in key_packets(phone, number % 10, frames=1)]
    bench.hears(arrivals, 1.5)
    assert len(bench.keys) <= 30


def test_pressed_keys_leave_at_their_pace_with_timestamps_of_their_own() -> None:
    bench = Bench.of(media(digits_payload_type=96))
    bench.stream.press("1w#")
    for _ in range(60):
        bench.stream.say(None)
    packets = [packet for packet, _ in bench.sent]
    numbers = [packet.sequence_number for packet in packets]
    assert all((b - a) & 0xFFFF == 1 for a, b in itertools.pairwise(numbers))
    events = [(packet, DtmfEvent.parse(packet.payload)) for packet in packets if packet.payload_type == 96]
    assert [event.event for _, event in events] == [1] * 9 + [11] * 9
    for key in (events[:9], events[9:]):
        assert len({packet.timestamp for packet, _ in key}) == 1
        assert [packet.marker for packet, _ in key] == [1] + [0] * 8
        assert [event.end for _, event in key] == [False] * 6 + [True] * 3
        assert [event.duration for _, event in key] == [160, 320, 480, 640, 800, 960, 960, 960, 960]
    first, second = events[0][0].timestamp, events[9][0].timestamp
    assert ((second - first) & 0xFFFFFFFF) / RATE == pytest.approx(0.12 + 0.02 + 0.08 + 0.5, abs=0.05)
    sounds = [packet for packet in packets if packet.payload_type == 0]
    last = sounds[-1].timestamp
    assert (last - packets[0].timestamp) & 0xFFFFFFFF == 59 * 160, "and the clock went on meanwhile"


def test_our_keys_are_read_by_another_implementation() -> None:
    from aiortp import DtmfReceiver

    bench, heard = Bench.of(), []
    receiver = DtmfReceiver(lambda digit, duration: heard.append(digit))
    bench.stream.press("12*#D")
    while bench.stream.is_pressing:
        bench.stream.say(None)
    for packet, _ in bench.sent:
        if packet.payload_type == 101:
            receiver.handle_packet(packet)
    assert heard == ["1", "2", "*", "#", "D"]


def test_where_there_are_no_such_packets_keys_are_tones() -> None:
    bench = Bench.of(media(digits_payload_type=None))
    bench.stream.press("5")
    while bench.stream.is_pressing:
        bench.stream.say(None)
    decoder = codec_of("PCMU")
    heard = np.frombuffer(b"".join(decoder.decode(packet.payload) for packet, _ in bench.sent[:6]), np.int16)
    spectrum = np.abs(np.fft.rfft(heard * np.hanning(len(heard))))
    peaks = np.argsort(spectrum)[-4:] * RATE / len(heard)
    assert any(abs(peak - 770) < 10 for peak in peaks)
    assert any(abs(peak - 1336) < 10 for peak in peaks)
