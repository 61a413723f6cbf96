"""How well the two sides could hear each other, in figures."""

import random

import pytest

from tests.support.rtp import (
    PHONE,
    Bench,
    media,
)
from worker.lines.rtp.quality import Reception, mos


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
