"""One call's RTP on a network that loses, delays, repeats and lies; the clock is the test's."""

import itertools
import random

import numpy as np
import pytest
from aiortp import DtmfEvent, RtpPacket, build_cn_payload
from hypothesis import given, settings
from hypothesis import strategies as some

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
from worker.lines.rtp.codecs import Resampler, codec_of
from worker.lines.rtp.media import MOST_UNANSWERED, Address
from worker.lines.rtp.quality import Reception, mos

STRANGER: Address = ("198.51.100.66", 9999)
NAT: Address = ("203.0.113.5", 61_000)


# ── who is listened to ───────────────────────────────────────────────────────────────────────────
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


# ── what is heard ────────────────────────────────────────────────────────────────────────────────
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


def test_a_flood_is_bounded() -> None:
    bench, phone = Bench.of(), Sender()
    for packet in phone.packets(tone(60.0)):
        bench.stream.received(packet.serialize(), PHONE)
    assert len(bench.hears([], 1.0)) <= 4 * 50
    assert len(bench.stream._ear._pcm) <= 3 * RATE * 2


# ── what is sent ─────────────────────────────────────────────────────────────────────────────────
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


# ── keys ─────────────────────────────────────────────────────────────────────────────────────────
def key_packets(phone: Sender, code: int, type_: int = 101, frames: int = 5) -> list[RtpPacket]:
    """As RFC 4733 has them: one each 20 ms, then three ends, all with the first one's timestamp."""
    made = []
    for number in range(frames + 3):
        duration, is_end = min(number + 1, frames) * 160, number >= frames
        payload = DtmfEvent(event=code, end=is_end, volume=10, duration=duration).serialize()
        made.append(RtpPacket(type_, int(number == 0), phone.sequence, phone.timestamp, phone.ssrc, payload))
        phone.sequence = (phone.sequence + 1) & 0xFFFF
    phone.timestamp = (phone.timestamp + (frames + 3) * 160) & 0xFFFFFFFF
    return made


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


# ── how well ─────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("loss", "delay", "least", "most"),
    [
        (0.0, 0.02, 4.35, 4.5),
        (0.01, 0.05, 4.2, 4.4),
        (0.05, 0.1, 3.4, 3.9),
        (0.2, 0.15, 1.8, 2.6),
        (1, 1, 1, 1),
    ],
)
def test_people_would_say(loss: float, delay: float, least: float, most: float) -> None:
    assert least <= mos(loss, delay) <= most


def test_packets_are_counted_across_the_end_of_their_numbers() -> None:
    heard = Reception()
    for number in range(200):
        if number % 10:
            heard.add((65_500 + number) & 0xFFFF, number * 160, number * 0.02, is_sound=True)
    assert (heard.expected, heard.received, heard.lost) == (199, 180, 19)
    assert heard.jitter_seconds < 1e-6


def test_two_sides_tell_each_other_how_they_hear() -> None:
    here, there = Bench.of(media(remote=PHONE)), Bench.of(media(remote=("192.0.2.1", 5000)))
    dice = random.Random(3)  # noqa: S311
    for tick in range(500):
        here.stream.say(None)
        packet, _ = here.sent[-1]
        if dice.random() > 0.1:
            there.stream.received(packet.serialize(), ("192.0.2.1", 5000))
        for one in (here, there):
            one.clock[0] += 0.02
        there.stream.hears()
        there.stream.say(None)
        here.stream.received(there.sent[-1][0].serialize(), PHONE)
        if tick % 250 == 200:
            here.stream.report()
            there.stream.reported(here.reports[-1][0], ("192.0.2.1", 5001))
            there.stream.report()
            assert there.reports[-1][1] == ("192.0.2.1", 5001)
            here.stream.reported(there.reports[-1][0], (PHONE[0], 4001))
    measured = here.stream.measured()
    assert measured.remote_lost_percent == pytest.approx(10, abs=3)
    assert measured.round_trip_ms is not None
    assert measured.round_trip_ms < 50


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
