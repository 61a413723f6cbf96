"""Finds and ends whole trees of processes, in whatever session or group they are."""

import contextlib
import os
import signal

import psutil


def descendants_of(pid: int) -> list[psutil.Process]:
    """Every living process below this one, in whatever session."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def kill_processes(processes: list[psutil.Process]) -> None:
    """SIGKILL those that still run; a process id that was given away again is left alone."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def kill_tree(pid: int) -> None:
    """SIGKILL a process that was started in a session of its own, its group and everything below it."""
    descendants = descendants_of(pid)
    kill_group(pid)
    kill_processes(descendants)


def kill_group(group_id: int) -> None:
    """SIGKILL what is left of a process group; none left is fine."""
    # PermissionError is macOS's word for a group of which only zombies are left.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group_id, signal.SIGKILL)
