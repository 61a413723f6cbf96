"""`call2me status` for a person."""

import time
from typing import Any


def as_text(status: dict[str, Any]) -> str:
    """A few lines: what runs, since when, what is not ready and why."""
    if not status["is_running"]:
        return f"call2me is not running in {status['home']}; `call2me up` starts it."
    since = f", up for {_span(time.time() - status['started_at'])}" if status["started_at"] else ""
    state = "ready to answer calls" if status["is_ready"] else "not ready"
    lines = [f"call2me at {status['url']} is {state}{since}", f"data in {status['home']}", ""]
    for name, process in status["processes"].items():
        pid = f"process {process['pid']}" if process["pid"] else "no process"
        memory = f"{process['memory_mb']} MB" if process["memory_mb"] is not None else ""
        restarts = f"restarted {process['restarts']} times" if process["restarts"] else ""
        lines.append(f"  {name:<10}{process['state']:<10}{pid:<18}{memory:<10}{restarts}".rstrip())
    lines.append("")
    lines += [f"  {name}: {why}" for name, why in status["checks"].items() if why != "up"]
    ports = ", ".join(f"{name} {port}" for name, port in status["ports"].items())
    versions = ", ".join(f"{name} {version}" for name, version in status["versions"].items() if version)
    return "\n".join([*lines, f"ports     {ports}", f"versions  {versions}"])


def _span(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"
