"""What a soak judges by: which answers a telephone has heard, and what was killed."""

import random
from pathlib import Path

import numpy as np

from bench.parts.soak_house import House
from bench.parts.soak_phones import answers_in
from bench.parts.soak_voices import OTHER_HERTZ, TONE_SECONDS, number_in, pitch_of, spelled
from tests.support.rtp import Sender, tone
from tests.support.telephone import Telephone, bound


def test_a_number_is_said_in_words_and_understood() -> None:
    assert spelled("Answer", 1203) == "Answer one two zero three."
    assert number_in("Question four. Question one two.", "question") == 12
    assert number_in("Answer one two.", "question") is None


def test_a_telephone_knows_which_answers_it_heard_whole() -> None:
    sent, quiet = Sender(), np.zeros(1600, np.int16)
    sounds = [tone(TONE_SECONDS, pitch) for pitch in (OTHER_HERTZ, pitch_of(7), pitch_of(142))]
    cut_off = tone(TONE_SECONDS / 2, pitch_of(9))
    line = np.concatenate([part for sound in (*sounds, cut_off) for part in (sound, quiet)])
    with bound() as mine:
        phone = Telephone(mine, ("127.0.0.1", 9))
        phone.heard = [(float(at), packet) for at, packet in enumerate(sent.packets(line))]
        assert [number for _, number in answers_in(phone)] == [7, 42]


def test_where_none_of_the_wanted_processes_runs_nothing_is_killed_yet(tmp_path: Path) -> None:
    house = House(tmp_path, {})
    assert house.kill_one(random.Random(1), {"text"}) == ""  # noqa: S311 - the same again for the same seed
    assert house.killed == []
