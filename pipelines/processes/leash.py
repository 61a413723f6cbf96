"""Runs a program that is not ours so that it ends when the process that started it ends, even by kill -9.

`python leash.py [--watch] LIFE_FD program argument…`. On Linux the kernel does it (`PR_SET_PDEATHSIG`) and
this file becomes the program; elsewhere, or with `--watch`, it stays as a small parent and reads the pipe.
"""

import os
import select
import signal
import sys

PR_SET_PDEATHSIG = 1


def is_closed(life_fd: int) -> bool:
    """Whether the writing end of the life pipe is already gone (nothing is ever written to it)."""
    return bool(select.select([life_fd], [], [], 0)[0])


def become(life_fd: int, command: list[str]) -> None:
    """Ask the kernel for a SIGKILL when the starting thread ends, then turn into the program."""
    import ctypes  # noqa: PLC0415 - 10 ms that only Linux pays

    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        watch(life_fd, command)
    # The starter may have died before the line above; then no signal comes any more.
    if is_closed(life_fd):
        sys.exit(1)
    os.set_inheritable(life_fd, False)
    os.execvp(command[0], command)  # noqa: S606 - a list of arguments, no shell


def watch(life_fd: int, command: list[str]) -> None:
    """Stay as the program's parent: kill it when the life pipe ends, pass signals and exit code on."""
    os.set_inheritable(life_fd, False)
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    pid = os.posix_spawnp(command[0], command, os.environ)
    for forwarded in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(forwarded, lambda number, _frame: os.kill(pid, number))
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(status)
            sys.exit(code if code >= 0 else 128 - code)
        # The timeout heals a SIGCHLD that came before its handler stood.
        ready = select.select([life_fd, wake_read], [], [], 1.0)[0]
        if wake_read in ready:
            os.read(wake_read, 4096)
        if life_fd in ready:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            sys.exit(1)


def main(arguments: list[str]) -> None:
    """Run the program named after the life pipe's descriptor."""
    is_watching = arguments[0] == "--watch"
    life_fd, *command = arguments[is_watching:]
    if sys.platform == "linux" and not is_watching:
        become(int(life_fd), command)
    else:
        watch(int(life_fd), command)


if __name__ == "__main__":
    main(sys.argv[1:])
