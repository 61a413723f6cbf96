"""The recording's file, with the clock in our hands or with time itself where a process dies."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from pipelines import ogg
from worker.recording import PHONE_RATE, RATE, Recording, Track, seal


def tone(seconds: float, rate: int, hertz: float = 440.0) -> bytes:
    at = np.arange(int(seconds * rate)) / rate
    return (np.sin(2 * np.pi * hertz * at) * 8000).astype(np.int16).tobytes()


def decoded(path: Path) -> np.ndarray:
    """Shape (samples, 2), 48 kHz."""
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-f", "s16le", "-ac", "2", "-ar", str(RATE), "-"]
    out = subprocess.run(command, capture_output=True, check=True)
    assert out.stderr == b""
    return np.frombuffer(out.stdout, np.int16).reshape(-1, 2)


def loud_spans(channel: np.ndarray) -> list[tuple[float, float]]:
    """Where it sounds, in seconds, in steps of 20 ms."""
    loud = [np.abs(block.astype(int)).max() > 2000 for block in np.array_split(channel, len(channel) // 960)]
    edges = [i for i in range(1, len(loud)) if loud[i] != loud[i - 1]]
    marks = ([0] if loud[0] else []) + edges + ([len(loud)] if loud[-1] else [])
    return [(marks[i] * 0.02, marks[i + 1] * 0.02) for i in range(0, len(marks), 2)]


@pytest.mark.parametrize("rate", [RATE, PHONE_RATE])
async def test_both_sides_stand_where_they_were_heard(tmp_path: Path, rate: int) -> None:
    recording = Recording(tmp_path / "call.ogg", rate)
    began = time.time()
    recording.caller(tone(0.5, 16_000), 16_000, began + 0.2)
    recording.agent(tone(0.3, 24_000), 24_000, began + 0.6)
    await asyncio.sleep(1.4)
    length_ms = await recording.close()
    assert 1300 < length_ms < 1800
    sound = decoded(tmp_path / "call.ogg")
    assert abs(len(sound) / RATE * 1000 - length_ms) < 20
    ((left_start, left_end),) = loud_spans(sound[:, 0])
    ((right_start, right_end),) = loud_spans(sound[:, 1])
    assert (left_start, left_end) == (pytest.approx(0.2, abs=0.05), pytest.approx(0.7, abs=0.05))
    assert (right_start, right_end) == (pytest.approx(0.6, abs=0.05), pytest.approx(0.9, abs=0.05))
    assert recording.failure == ""


def foreign_threads() -> int:
    """Those of this process that Python did not begin: of codecs and filters."""
    return psutil.Process().num_threads() - threading.active_count()


async def test_what_is_over_keeps_no_thread_until_somebody_collects_it(tmp_path: Path) -> None:
    before, over = foreign_threads(), []
    for number in range(3):
        recording = Recording(tmp_path / f"{number}.ogg", PHONE_RATE)
        for at in (time.time(), time.time() + 5):  # after a pause it is resampled afresh
            recording.caller(tone(0.1, 8_000), 8_000, at)
            recording.agent(tone(0.1, 24_000), 24_000, at)
        await asyncio.sleep(0.3)
        assert await recording.close() > 0
        over.append(recording)
    assert foreign_threads() <= before
    assert not any(recording.failure for recording in over)


_TALKING = """
import sys, time, numpy as np
from pathlib import Path
from worker.recording import Recording
recording = Recording(Path(sys.argv[1]))
began = time.time()
pcm = (np.sin(np.arange(800) / 5) * 8000).astype(np.int16).tobytes()
print("talking", flush=True)
while True:
    recording.caller(pcm, 16_000, time.time() - 0.05)
    time.sleep(0.05)
"""


@pytest.mark.parametrize("lives_seconds", [1.5, 2.2, 3.1])
def test_a_killed_process_loses_less_than_the_last_second(tmp_path: Path, lives_seconds: float) -> None:
    path = tmp_path / "call.ogg"
    process = subprocess.Popen([sys.executable, "-c", _TALKING, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    began = time.monotonic()
    time.sleep(lives_seconds)
    os.kill(process.pid, signal.SIGKILL)
    lived = time.monotonic() - began
    process.wait()
    process.stdout.close()
    before_sealing = len(decoded(path)) / RATE
    assert lived - 1.0 < before_sealing <= lived + 0.1
    assert seal(path) / 1000 == pytest.approx(before_sealing, abs=0.05)
    assert len(decoded(path)) / RATE == pytest.approx(before_sealing, abs=0.05)


async def test_sealing_cuts_a_torn_page_and_may_be_done_again(tmp_path: Path) -> None:
    path = tmp_path / "call.ogg"
    recording = Recording(path)
    recording.caller(tone(1.0, 16_000), 16_000, time.time())
    await asyncio.sleep(1.2)
    whole_ms = await recording.close()
    whole = path.read_bytes()
    for missing in (1, 40, 700):
        path.write_bytes(whole[:-missing])
        sealed_ms = seal(path)
        assert 0 < sealed_ms < whole_ms
        size = path.stat().st_size
        assert (seal(path), path.stat().st_size) == (sealed_ms, size)
        decoded(path)
    damaged = bytearray(whole)
    damaged[-20] ^= 0xFF
    path.write_bytes(damaged)
    assert 0 < seal(path) < whole_ms, "a page that a checksum denies is no page"


@pytest.mark.parametrize("content", [b"", b"OggS", b"not a recording at all" * 100])
def test_a_file_without_sound_is_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "call.ogg"
    path.write_bytes(content)
    assert seal(path) == 0
    assert path.read_bytes() == content


async def test_a_disk_that_refuses_costs_the_recording_and_nothing_else(tmp_path: Path) -> None:
    recording = Recording(tmp_path / "no such folder" / "call.ogg")
    recording.caller(tone(0.1, 16_000), 16_000, time.time())
    assert await recording.close() == 0
    assert "FileNotFoundError" in recording.failure


async def test_a_thread_that_is_stuck_never_makes_the_call_wait(tmp_path: Path) -> None:
    recording = Recording(tmp_path / "call.ogg")
    began = time.monotonic()
    for _ in range(2000):
        recording.caller(tone(0.05, 16_000), 16_000, time.time())
    assert time.monotonic() - began < 2
    await recording.close()
    assert recording.dropped > 0
    assert recording.failure


def test_frames_that_jitter_leave_no_seam() -> None:
    track = Track(0.4)
    for index, late in enumerate((0.0, 0.03, 0.0, 0.1, 0.0)):
        track.push(round((index * 0.05 + late) * RATE), b"\x10\x27" * 800, 16_000)
    placed = track.take(0, track.placed_through)
    inner = placed[480:-480]
    assert inner.min() > 9000, "constant in, constant out"


def test_pages_refuse_what_does_not_fit() -> None:
    pages = ogg.OpusPages(b"OpusHead" + bytes(11), serial=1)
    with pytest.raises(ValueError, match="too many"):
        pages.page([b"x"] * 256, 0)


async def test_two_parts_of_a_call_become_one_with_the_time_between_them_kept(tmp_path: Path) -> None:
    """As they are stored: whole, or torn off by a death and mended."""
    moments = iter([1000.0, 1003.0])
    for number in (1, 2):
        began = next(moments)
        at = [began]
        recording = Recording(tmp_path / f"{number}.ogg", clock=lambda at=at: at[0])  # type: ignore[misc]
        recording.caller(tone(0.5, 16_000), 16_000, began + 0.5)
        at[0] = began + 1.5
        await recording.close()
    broken = tmp_path / "broken.ogg"
    broken.write_bytes(b"OggS")
    whole = tmp_path / "whole.ogg"
    length_ms = ogg.join([tmp_path / "1.ogg", broken, tmp_path / "2.ogg"], whole)
    assert length_ms == pytest.approx(4500, abs=60)
    sound = decoded(whole)
    assert len(sound) / RATE * 1000 == pytest.approx(length_ms, abs=20)
    first, second = loud_spans(sound[:, 0])
    assert first == (pytest.approx(0.5, abs=0.05), pytest.approx(1.0, abs=0.05))
    assert second == (pytest.approx(3.5, abs=0.05), pytest.approx(4.0, abs=0.05))
    assert seal(whole) == length_ms, "it is whole"
    assert ogg.join([broken], tmp_path / "nothing.ogg") == 0
    assert not (tmp_path / "nothing.ogg").exists()
