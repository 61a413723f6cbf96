"""Supervision of processes, with real processes."""

import asyncio
import itertools
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from pipelines.processes import Backoff, Group, ProcessSpec, Supervised, place
from pipelines.processes.leash import __file__ as leash_path
from pipelines.processes.output import Lines, RotatingLog

QUICK = Backoff(first_seconds=0.05, longest_seconds=0.2, healthy_seconds=5.0)


def python(tmp_path: Path, name: str, source: str, **more: object) -> ProcessSpec:
    """A process that runs a few lines of Python."""
    command = (sys.executable, "-u", "-c", textwrap.dedent(source))
    return ProcessSpec(name=name, command=command, log_path=tmp_path / f"{name}.log", **more)  # type: ignore[arg-type]


async def until(claim: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait until a claim holds."""
    async with asyncio.timeout(seconds):
        while not claim():
            await asyncio.sleep(0.02)


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


SLEEP = "import time; print('here', flush=True); time.sleep(600)"
STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print('here' + chr(10), end='', flush=True)
time.sleep(600)
"""


async def test_a_process_that_dies_is_started_again_and_counted(tmp_path: Path) -> None:
    exits: list[tuple[str, int]] = []
    async with Group(backoff=QUICK, on_exit=lambda s, code: exits.append((s.name, code))) as group:
        process = group.start(python(tmp_path, "sleeper", SLEEP))
        await until(lambda: process.state == "running")
        first = process.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await until(lambda: process.restarts == 1 and process.pid is not None)
        assert process.pid != first
    assert exits == [("sleeper", -signal.SIGKILL), ("sleeper", -signal.SIGTERM)]
    assert process.state == "stopped"


async def test_waits_between_restarts_grow(tmp_path: Path) -> None:
    begun: list[float] = []
    backoff = Backoff(first_seconds=0.1, longest_seconds=10.0, healthy_seconds=60.0)
    async with Group(backoff=backoff, on_exit=lambda _s, _c: begun.append(time.monotonic())) as group:
        group.start(ProcessSpec(name="crash", command=("false",), log_path=tmp_path / "crash.log"))
        await until(lambda: len(begun) >= 5)
    waits = [later - earlier for earlier, later in itertools.pairwise(begun)]
    # Steps of 0.1, 0.2, 0.4, 0.8 s, each shortened by up to a half.
    assert waits[3] >= 0.4
    assert waits[3] > waits[0]


@pytest.mark.parametrize(("failures", "least", "most"), [(1, 0.25, 0.5), (3, 1.0, 2.0), (50, 15.0, 30.0)])
def test_a_wait_is_between_half_of_its_step_and_the_whole(failures: int, least: float, most: float) -> None:
    delays = [Backoff().delay(failures) for _ in range(200)]
    assert least <= min(delays) < max(delays) <= most


async def test_a_healthy_while_forgives_earlier_failures(tmp_path: Path) -> None:
    backoff = Backoff(first_seconds=0.01, longest_seconds=100.0, healthy_seconds=0.0)
    ends = 0

    def count(_process: Supervised, _code: int) -> None:
        nonlocal ends
        ends += 1

    async with Group(backoff=backoff, on_exit=count) as group:
        group.start(ProcessSpec(name="crash", command=("false",), log_path=tmp_path / "crash.log"))
        # Without forgiveness the fifteenth wait alone would be over 80 s.
        await until(lambda: ends >= 15)


async def test_a_program_that_does_not_exist_is_tried_again_and_says_so_in_its_log(tmp_path: Path) -> None:
    spec = ProcessSpec(name="none", command=("/no/such/program",), log_path=tmp_path / "none.log")
    async with Group(backoff=QUICK) as group:
        process = group.start(spec)
        await until(lambda: process.restarts >= 2)
        assert process.exit_code == 127
    assert "/no/such/program: No such file or directory" in spec.log_path.read_text()


async def test_a_process_that_ignores_sigterm_is_killed_with_all_it_started(tmp_path: Path) -> None:
    lines: list[str] = []
    source = f"""
    import signal, subprocess, sys, time
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for own_session in (False, True):
        child = subprocess.Popen([sys.executable, '-c', {STUBBORN!r}], start_new_session=own_session)
        print(str(child.pid) + chr(10), end='', flush=True)
    time.sleep(600)
    """
    async with Group(on_line=lambda _s, line: lines.append(line)) as group:
        process = group.start(python(tmp_path, "family", source, stop_seconds=0.5))
        await until(lambda: len(lines) == 4)
        pids = [int(line) for line in lines if line != "here"] + [process.pid or 0]
        begun = time.monotonic()
    assert 0.4 < time.monotonic() - begun < 3
    await until(lambda: not any(map(is_running, pids)), 2)


async def test_a_child_left_by_a_process_that_stopped_politely_is_killed(tmp_path: Path) -> None:
    lines: list[str] = []
    source = f"""
    import subprocess, sys, time
    child = subprocess.Popen([sys.executable, '-c', {STUBBORN!r}], start_new_session=True)
    print(str(child.pid) + chr(10), end='', flush=True)
    time.sleep(600)
    """
    async with Group(on_line=lambda _s, line: lines.append(line)) as group:
        group.start(python(tmp_path, "parent", source))
        await until(lambda: len(lines) == 2)
        child = next(int(line) for line in lines if line != "here")
    await until(lambda: not is_running(child), 2)


async def test_the_last_started_is_stopped_first_and_each_is_waited_for(tmp_path: Path) -> None:
    ended: list[str] = []
    source = """
    import signal, sys, time
    signal.signal(signal.SIGTERM, lambda *_: (time.sleep(0.2), sys.exit(0)))
    print('here', flush=True)
    time.sleep(600)
    """
    seen: set[str] = set()
    group = Group(on_line=lambda s, _l: seen.add(s.name), on_exit=lambda s, _c: ended.append(s.name))
    for name in ("server", "api", "worker"):
        group.start(python(tmp_path, name, source))
    await until(lambda: len(seen) == 3)
    await group.stop()
    assert ended == ["worker", "api", "server"]


async def test_a_late_start_may_still_be_stopped_after_another(tmp_path: Path) -> None:
    ended: list[str] = []
    async with Group(on_exit=lambda s, _c: ended.append(s.name)) as group:
        for name, before in (("server", None), ("worker", None), ("api", "worker")):
            group.start(python(tmp_path, name, SLEEP), before=before)
        await until(lambda: all(process.pid for process in group.processes.values()))
    assert ended == ["worker", "api", "server"]


async def test_killing_while_a_stop_is_under_way_ends_it_at_once(tmp_path: Path) -> None:
    seen: list[str] = []
    group = Group(on_line=lambda s, _l: seen.append(s.name))
    process = group.start(python(tmp_path, "stubborn", STUBBORN, stop_seconds=60.0))
    await until(lambda: seen)
    stopping = asyncio.create_task(group.stop())
    await asyncio.sleep(0.1)
    assert process.pid is not None
    group.kill()
    await asyncio.wait_for(stopping, 2)
    assert process.state == "stopped"


async def test_a_restart_that_was_asked_for_waits_for_no_backoff(tmp_path: Path) -> None:
    backoff = Backoff(first_seconds=60.0, longest_seconds=60.0)
    seen: list[str] = []
    async with Group(backoff=backoff, on_line=lambda s, _l: seen.append(s.name)) as group:
        process = group.start(python(tmp_path, "sleeper", SLEEP))
        await until(lambda: len(seen) == 1)
        await process.restart()
        await until(lambda: len(seen) == 2, 5)
        # And so does one that comes while the process waits for its next try.
        os.kill(process.pid or 0, signal.SIGKILL)
        await until(lambda: process.state == "waiting")
        await process.restart()
        await until(lambda: len(seen) == 3, 5)


async def test_every_line_goes_to_the_log_file_and_to_the_listener(tmp_path: Path) -> None:
    lines: list[str] = []
    source = "import sys; print('one'); print('two', file=sys.stderr, flush=True); sys.stdout.write('no end')"
    async with Group(backoff=Backoff(first_seconds=60), on_line=lambda _s, line: lines.append(line)) as group:
        process = group.start(python(tmp_path, "talker", source))
        await until(lambda: process.state == "waiting")
    assert lines == ["one", "two", "no end"]
    assert (tmp_path / "talker.log").read_text() == "one\ntwo\nno end\n"


async def test_a_grandchild_that_holds_the_output_does_not_hide_a_death(tmp_path: Path) -> None:
    lines: list[str] = []
    source = """
    import subprocess, sys
    sleep = [sys.executable, '-c', 'import time; time.sleep(600)']
    print(subprocess.Popen(sleep, start_new_session=True).pid, flush=True)
    """
    async with Group(backoff=Backoff(first_seconds=60), on_line=lambda _s, line: lines.append(line)) as group:
        process = group.start(python(tmp_path, "parent", source))
        await until(lambda: process.state == "waiting", 5)
        grandchild = int(lines[0])
        assert is_running(grandchild)
        os.kill(grandchild, signal.SIGKILL)


PARENT = """
import asyncio, sys
from pathlib import Path
from pipelines.processes import Group, ProcessSpec

OURS = '''
import os, signal, sys, time
from pipelines.processes import watch_life_pipe
if "stubborn" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
assert watch_life_pipe(grace_seconds=0.5)
assert "CALL2ME_LIFE_FD" not in os.environ
print(os.getpid(), flush=True)
time.sleep(600)
'''
WATCHED = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"

async def main() -> None:
    seen = []
    def show(process, line):
        seen.append(line)
        if len(seen) == 4:
            print(*seen, flush=True)
    home = Path(sys.argv[1])
    async with Group(on_line=show) as group:
        def start(name, *command, ours=True):
            group.start(ProcessSpec(name=name, command=command, log_path=home / name, watches_life_pipe=ours))
        start("ours", sys.executable, "-c", OURS)
        start("stubborn", sys.executable, "-c", OURS, "stubborn")
        start("foreign", sys.executable, "-c", WATCHED, ours=False)
        life = str(group._life.read_fd)
        start("beside", sys.executable, sys.argv[2], "--watch", life, sys.executable, "-c", WATCHED)
        await asyncio.sleep(600)

asyncio.run(main())
"""


async def test_no_child_outlives_a_parent_that_was_killed(tmp_path: Path) -> None:
    with subprocess.Popen(  # noqa: ASYNC220 - a few milliseconds, and the test has nothing else to do
        [sys.executable, "-c", PARENT, str(tmp_path), leash_path], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in (await asyncio.to_thread(parent.stdout.readline)).split()]
        assert len(pids) == 4
        assert all(map(is_running, pids))
        parent.kill()
    await until(lambda: not any(map(is_running, pids)), 5)


@pytest.mark.parametrize("watch", [[], ["--watch"]])
def test_a_leash_hands_on_the_exit_code_and_signals(watch: list[str]) -> None:
    read_fd, write_fd = os.pipe()
    try:
        leash = [sys.executable, "-I", "-S", leash_path, *watch, str(read_fd)]
        assert (
            subprocess.run([*leash, "sh", "-c", "exit 7"], pass_fds=(read_fd,), check=False).returncode == 7
        )
        source = (
            "import signal, sys, time; signal.signal(15, lambda *_: sys.exit(3)); "
            "print(1, flush=True); time.sleep(60)"
        )
        with subprocess.Popen(
            [*leash, sys.executable, "-c", source], pass_fds=(read_fd,), stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            process.terminate()
            assert process.wait(5) == 3
    finally:
        os.close(read_fd)
        os.close(write_fd)


def test_a_log_file_is_turned_over_before_it_grows_past_its_limit(tmp_path: Path) -> None:
    log = RotatingLog(tmp_path / "api.log", max_bytes=100, keep=2)
    for number in range(30):
        log.write(f"line {number:02}\n".encode())
    log.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["api.log", "api.log.1", "api.log.2"]
    assert all(path.stat().st_size <= 100 for path in tmp_path.iterdir())
    assert (tmp_path / "api.log").read_text().endswith("line 29\n")


def test_a_log_that_its_process_writes_itself_is_emptied_before_it_grows_without_bound(
    tmp_path: Path,
) -> None:
    log = RotatingLog(tmp_path / "agents.log", max_bytes=100, keep=2)
    for number in range(40):
        os.write(log.fd, f"line {number:02}\n".encode())  # as the process that inherited it does
        log.turn_over()
    log.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["agents.log", "agents.log.1", "agents.log.2"]
    assert all(path.stat().st_size <= 108 for path in tmp_path.iterdir())
    assert (tmp_path / "agents.log").read_text().endswith("line 39\n")


TAKES = """
import os, sys, time
from pathlib import Path
from pipelines.processes import place
assert place.take(Path(sys.argv[1]), "as asked")
assert os.fork() or time.sleep(60)  # what it forks holds nothing
print(os.getpid(), flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(not place.IS_POSSIBLE, reason="only Linux says who holds a lock")
async def test_a_place_says_who_holds_it_until_that_process_ends(tmp_path: Path) -> None:
    path = tmp_path / "agents.place"
    assert place.holder(path) is None
    with subprocess.Popen(  # noqa: ASYNC220 - a few milliseconds, and the test has nothing else to do
        [sys.executable, "-c", TAKES, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as holding:
        assert holding.stdout is not None
        holding.stdout.readline()
        assert place.holder(path) == place.Holder(holding.pid, "as asked")
        assert not place.take(path, "another")
        os.kill(holding.pid, signal.SIGKILL)
        holding.wait()
        assert place.holder(path) is None
        os.killpg(holding.pid, signal.SIGKILL)  # the forked one


def test_a_line_without_end_is_cut_and_not_kept_in_memory(tmp_path: Path) -> None:
    lines: list[str] = []
    log = RotatingLog(tmp_path / "log")
    output = Lines(log, lines.append)
    for _ in range(40):
        output.feed(b"x" * 8192)
    log.close()
    assert len(lines) == 4
    assert {len(line) for line in lines} == {65536}
