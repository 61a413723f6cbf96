"""What runs here: written by `call2me up`, read by `call2me status`."""

import contextlib
import json
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from api.settings import Settings
from api.up.preflight import is_running, ports
from api.version import version

TIMEOUT_SECONDS = 3.0


def path(settings: Settings) -> Path:
    """Where `up` writes it."""
    return settings.run / "status.json"


def write(settings: Settings, status: dict[str, Any]) -> None:
    """Replace what was written before, in one step for whoever reads it."""
    target = path(settings)
    draft = target.with_suffix(f".{os.getpid()}")
    draft.write_text(json.dumps(status, indent=2) + "\n", "utf-8")
    draft.replace(target)


def versions(livekit: str | None) -> dict[str, str | None]:
    """Of what takes part."""
    return {"call2me": version(), "python": sys.version.split()[0], "livekit-server": livekit}


def read(settings: Settings) -> dict[str, Any]:
    """Processes, ports, versions and readiness as of now; processes are empty when nothing runs."""
    running = is_running(settings)
    kept = _kept(settings) if running else {}
    is_ready, checks = ready(settings) if running else (False, {})
    # What runs may have been started with other settings than this command was.
    where = running_whereabouts(settings)
    return {
        "is_running": running,
        "is_ready": is_ready,
        "checks": checks,
        "url": where["url"],
        "home": str(settings.home),
        "pid": kept.get("pid"),
        "started_at": kept.get("started_at"),
        "processes": {name: _living(found) for name, found in kept.get("processes", {}).items()},
        "ports": where["ports"],
        "versions": kept.get("versions") or versions(None),
    }


def whereabouts(settings: Settings) -> dict[str, Any]:
    """Where these settings put everything: `url` for people, `address` for this machine, `ports` by name."""
    return {
        "url": settings.public_url,
        "address": address(settings),
        "ports": {name: port for name, _host, port, _kind in ports(settings)},
    }


def running_whereabouts(settings: Settings) -> dict[str, Any]:
    """The same of what runs in this home, whatever this command's own settings say."""
    if is_running(settings) and isinstance(where := _kept(settings).get("where"), dict):
        return where
    return whereabouts(settings)


def ready(settings: Settings) -> tuple[bool, dict[str, str]]:
    """Whether a call could be answered now, and each part's `up` or why not; no parts when it is silent."""
    url = f"{running_whereabouts(settings)['address']}/ready"
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as reply:  # noqa: S310
            checks = _checks(reply.read())
            return bool(checks), checks
    except urllib.error.HTTPError as error:
        with error, contextlib.suppress(OSError):
            return False, _checks(error.read())
    except OSError:
        pass
    return False, {}


def is_learning(settings: Settings, api_key: str) -> bool:
    """Whether a knowledge base of this key's owner is still being read; False when nobody can say."""
    asked = urllib.request.Request(  # noqa: S310 - our own api
        f"{running_whereabouts(settings)['address']}/v1/knowledge-base",
        headers={"Authorization": f"Bearer {api_key}"},
    )
    try:
        with urllib.request.urlopen(asked, timeout=TIMEOUT_SECONDS) as reply:  # noqa: S310
            return any(str(base["status"]).endswith("in_progress") for base in json.loads(reply.read()))
    except (OSError, ValueError, LookupError, TypeError):
        return False


def address(settings: Settings) -> str:
    """Where this machine itself reaches the api."""
    host = settings.host
    if host in {"0.0.0.0", "::", ""}:  # noqa: S104 - compared with, not listened on
        host = "127.0.0.1"
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"


def sign_in_address(settings: Settings, token: str) -> str:
    """Where a one-time token signs in. After the #: a browser sends that to nobody."""
    return f"{running_whereabouts(settings)['url']}/#link={token}"


def _kept(settings: Settings) -> dict[str, Any]:
    """What `up` wrote; empty in its first moment, when it has written nothing yet."""
    try:
        kept = json.loads(path(settings).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}


def _checks(body: bytes) -> dict[str, str]:
    # Whoever answers need not be ours.
    try:
        checks = json.loads(body)["checks"]
    except (ValueError, TypeError, KeyError, IndexError):
        return {}
    return checks if isinstance(checks, dict) else {}


def _living(process: dict[str, Any]) -> dict[str, Any]:
    """With its memory, and that of everything below it, in MB."""
    import psutil  # noqa: PLC0415 - 30 ms that only this command pays

    if not (pid := process.get("pid")):
        return {**process, "memory_mb": None}
    try:
        parent = psutil.Process(pid)
        total = sum(_memory(each) for each in (parent, *parent.children(recursive=True)))
    except psutil.NoSuchProcess:
        return {**process, "pid": None, "state": "waiting", "memory_mb": None}
    return {**process, "memory_mb": round(total / 2**20)}


def _memory(process: Any) -> int:
    import psutil  # noqa: PLC0415

    try:
        info = process.memory_full_info() if sys.platform == "linux" else process.memory_info()
    except psutil.Error:
        return 0
    # Shared pages count once in the sum of proportional shares; macOS tells only the resident size.
    return int(getattr(info, "pss", 0) or info.rss)
