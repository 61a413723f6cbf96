"""What is heard over a network that loses, delays and repeats; the clock is the test's."""

import itertools

import numpy as np
import pytest
from aiortp import RtpPacket, build_cn_payload

from tests.support.rtp import (
    FRAME,
    PHONE,
    RATE,
    Bench,
    Sender,
    in_time,
    jittered,
    joined,
    loud_seconds,
    media,
    tone,
)
from worker.lines.rtp.codecs import Resampler


def test_a_clean_network_adds_no_delay_and_loses_nothing() -> None:
    bench, said = Bench.of(), tone(2.0)
    frames = bench.hears(in_time(Sender().packets(said)), 2.0)
    assert len(frames) == 100
    assert np.corrcoef(joined(frames), said)[0, 1] > 0.999
    measured = bench.stream.measured()
    assert (measured.packets_received, measured.packets_lost, measured.packets_late) == (100, 0, 0)
    assert measured.mos > 4.3


def test_packets_out_of_order_and_twice_are_as_good_as_in_order() -> None:
    bench, said = Bench.of(), tone(2.0)
    arrivals = in_time(Sender().packets(said))
    for number in range(4, 90, 6):
        (first, one), (second, other) = arrivals[number], arrivals[number + 1]
        arrivals[number], arrivals[number + 1] = (first, other), (second, one)
    twice = arrivals + [(at + 0.001, packet) for at, packet in arrivals[::3]]
    frames = bench.hears(twice, 2.1)
    assert np.corrcoef(joined(frames)[: len(said)], said)[0, 1] > 0.999


@pytest.mark.parametrize("samples", [80, 240, 320, 480])
def test_packets_may_be_of_other_lengths(samples: int) -> None:
    bench, said = Bench.of(), tone(1.92)
    arrivals = in_time(Sender().packets(said, samples), samples / RATE)
    heard = joined(bench.hears(arrivals, 2.1))
    assert loud_seconds(heard) == pytest.approx(1.92, abs=0.03)


@pytest.mark.parametrize(("jitter", "loss"), [(0.06, 0.0), (0.06, 0.05), (0.12, 0.02)])
def test_a_bad_network_takes_no_more_than_it_lost_and_no_time(jitter: float, loss: float) -> None:
    bench = Bench.of()
    arrivals = jittered(Sender().packets(tone(20.0)), jitter=jitter, loss=loss)
    frames = bench.hears(arrivals, 20.4)
    assert len(frames) == pytest.approx(1020, abs=12), "as many frames as ticks"
    assert loud_seconds(joined(frames)) > 20.0 * (1 - loss) - 0.5
    measured = bench.stream.measured()
    assert measured.packets_lost == pytest.approx(1000 - len(arrivals), abs=1), "the last ones are not missed"
    assert measured.packets_late < 15
    assert jitter * 1000 / 5 < measured.jitter_ms < jitter * 1000


def test_a_lost_packet_is_concealed_and_not_a_hole() -> None:
    bench = Bench.of()
    arrivals = [one for number, one in enumerate(in_time(Sender().packets(tone(1.0)))) if number % 10 != 5]
    heard = joined(bench.hears(arrivals, 1.1))
    assert loud_seconds(heard) > 0.97


def test_frames_go_on_when_packets_stop() -> None:
    bench = Bench.of()
    bench.hears(in_time(Sender().packets(tone(1.0))), 1.0)
    frames = bench.hears([], 3.0)
    assert len(frames) == pytest.approx(150, abs=6)
    assert np.abs(joined(frames)[RATE:]).max() == 0
    assert len(bench.hears([], 3.0)) == 150, "and without drift"


def test_frames_come_before_the_first_packet_too() -> None:
    assert len(Bench.of().hears([], 2.0)) == pytest.approx(100, abs=5)


def test_words_held_up_for_a_second_are_heard_after_it() -> None:
    bench, said = Bench.of(), tone(3.0)
    arrivals = [
        (2.0 + number * 1e-4 if 1.0 < at < 2.0 else at, packet)
        for number, (at, packet) in enumerate(in_time(Sender().packets(said)))
    ]
    frames = bench.hears(arrivals, 4.0)
    assert loud_seconds(joined(frames)) == pytest.approx(3.0, abs=0.05)
    assert len(frames) == pytest.approx(200, abs=55)


def test_a_pause_that_the_phone_does_not_send_is_no_loss() -> None:
    bench, phone = Bench.of(), Sender()
    first = in_time(phone.packets(tone(0.5)))
    phone.timestamp = (phone.timestamp + 2 * RATE) & 0xFFFFFFFF
    second = [(at + 2.5, packet) for at, packet in in_time(phone.packets(tone(0.5)))]
    frames = bench.hears(first + second, 3.1)
    assert len(frames) == pytest.approx(155, abs=6)
    measured = bench.stream.measured()
    assert (measured.packets_lost, measured.packets_late) == (0, 0)
    assert measured.jitter_ms < 5


def test_comfort_noise_is_heard_as_told() -> None:
    bench, phone = Bench.of(media(noise_payload_type=13)), Sender()
    arrivals = in_time(phone.packets(tone(0.2)))
    quiet = RtpPacket(13, 0, phone.sequence, phone.timestamp, phone.ssrc, build_cn_payload(50))
    heard = joined(bench.hears([*arrivals, (0.22, quiet)], 2.0))[RATE:].astype(float)
    level = 20 * np.log10(np.sqrt(np.mean(heard**2)) / 32767)
    assert level == pytest.approx(-50, abs=1.5)


def test_a_phone_that_floods_its_own_call_is_heard_as_much_as_a_phone_could_say() -> None:
    bench, phone = Bench.of(), Sender()
    packets = iter(phone.packets(tone(100.0)))
    bench.hears(in_time(itertools.islice(packets, 10)), 0.2)
    bench.hears(
        [(number / 2000, packet) for number, packet in enumerate(itertools.islice(packets, 4000))], 2.0
    )
    measured = bench.stream.measured()
    assert measured.packets_received == pytest.approx(400 + 2 * 200, abs=20)
    assert measured.packets_received + measured.packets_dropped == 4010
    bench.hears([], 2.0)
    heard = bench.hears(in_time(itertools.islice(packets, 50)), 1.2)
    assert loud_seconds(joined(heard)) > 0.9, "and is heard again when it has stopped"


def test_a_flood_of_reports_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench.of()
    bench.hears(in_time(Sender().packets(tone(0.2))), 0.2)
    read = []
    monkeypatch.setattr(bench.stream._reports, "take", lambda data, now: read.append(data))
    for _ in range(1000):
        bench.stream.reported(b"\x81\xcb\x00\x01abcd" * 150, PHONE)
        bench.clock[0] += 0.002
    assert len(read) == pytest.approx(10 + 2 * 5, abs=1)


def test_a_flood_is_bounded() -> None:
    bench, phone = Bench.of(), Sender()
    for packet in phone.packets(tone(60.0)):
        bench.stream.received(packet.serialize(), PHONE)
    assert len(bench.hears([], 1.0)) <= 4 * 50
    assert len(bench.stream._ear._pcm) <= 3 * RATE * 2


def test_resampled_sound_is_the_same_sound() -> None:
    resampler = Resampler(8_000, 16_000)
    said = tone(1.0)
    heard = np.frombuffer(
        b"".join(resampler.push(said[at : at + FRAME].tobytes()) for at in range(0, len(said), FRAME)),
        np.int16,
    )
    wide = tone(1.0, rate=16_000)
    assert len(heard) > 15_900, "at most 6 ms are under way"
    assert max(np.corrcoef(wide[1000:14000], heard[1000 + k : 14000 + k])[0, 1] for k in range(100)) > 0.999
