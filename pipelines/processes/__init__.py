"""Starts processes, restarts those that die, and stops them so that none is left; both upper floors use it.

A child runs in a session of its own: a Ctrl-C in the terminal reaches only the supervisor, which then stops
its children in order. It holds the reading end of a life pipe (`life.py`), so it ends when its supervisor is
gone, even by kill -9; programs that are not ours run on a leash (`leash.py`). A process with a place
(`place.py`) goes on for a while instead, until a successor has found it. Linux and macOS.

    async with Group(on_line=show) as group:
        group.start(ProcessSpec(name="api", command=(sys.executable, "-m", "api"), log_path=logs / "api.log"))
        await stop_asked.wait()
    # leaving stops them, the last started first

A child that is our own Python calls `watch_life_pipe()` early in its `main`.
"""

from pipelines.processes.group import Group
from pipelines.processes.life import watch_life_pipe
from pipelines.processes.running import ProcessSpec
from pipelines.processes.supervised import Backoff, Supervised

__all__ = ["Backoff", "Group", "ProcessSpec", "Supervised", "watch_life_pipe"]
