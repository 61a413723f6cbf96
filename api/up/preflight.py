"""What must hold before anything is started: no other runs here, ports are free, the disk has room."""

import contextlib
import errno
import fcntl
import os
import pwd
import shlex
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from api.settings import Settings
from api.up.command import spelled
from api.up.errors import CannotStart

NEEDED_BYTES = 500 * 1024 * 1024
NEEDED_LATER_BYTES = 100 * 1024 * 1024


@contextlib.contextmanager
def only_one(settings: Settings) -> Iterator[None]:
    """Hold this home until this process ends, however it ends; raises `CannotStart` when another does."""
    path = lock_path(settings)
    # Not truncated before it is locked: until then the id in it is the other's.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if not _lock(descriptor):
            holder = os.read(descriptor, 32).decode("ascii", "replace").strip()
            who = f" (process {holder})" if holder else ""
            raise CannotStart(
                f"call2me is already running in {settings.home}{who}: `{spelled('user link')}` prints a link "
                "to it; set CALL2ME_HOME and other ports for a second one."
            )
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    # More than once: `call2me status` holds the lock for an instant to see whether somebody does.
    for wait_seconds in (0.05, 0.1, 0.0):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(wait_seconds)
        else:
            return True
    return False


def lock_path(settings: Settings) -> Path:
    """The file whose lock is held while `call2me up` runs."""
    return settings.run / "up.lock"


def is_running(settings: Settings) -> bool:
    """Whether a `call2me up` holds this home now."""
    try:
        descriptor = os.open(lock_path(settings), os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def check(settings: Settings) -> None:
    """Raise `CannotStart` for the first thing that is in the way."""
    free = shutil.disk_usage(settings.home).free
    # Models and livekit-server are there after the first start; calls need room all the same.
    needed = NEEDED_LATER_BYTES if (settings.home / "models" / "checked.json").exists() else NEEDED_BYTES
    if free < needed:
        raise CannotStart(
            f"Only {free // 2**20} MB are free for {settings.home} and {needed // 2**20} MB are "
            "needed: make room, or set CALL2ME_HOME to a folder on another disk."
        )
    check_folder(settings.home)
    if settings.port == 0:
        raise CannotStart(
            "CALL2ME_PORT is 0, but people must know where to go; set it to a free port, like 8000."
        )
    wanted: dict[tuple[int, socket.SocketKind], str] = {}
    for name, host, port, kind in ports(settings):
        if (other := wanted.setdefault((port, kind), name)) != name:
            raise CannotStart(f"{other} and {name} are both {port}; give one of them another port.")
        if (sentence := port_trouble(name, host, port, kind)) is not None:
            raise CannotStart(sentence)


def ports(settings: Settings) -> list[tuple[str, str, int, socket.SocketKind]]:
    """Every port that will be listened on: the setting's name, address, number, kind."""
    wanted = [("CALL2ME_PORT", settings.host, settings.port, socket.SOCK_STREAM)]
    if settings.livekit.is_ours:
        host = "127.0.0.1" if settings.is_loopback else "0.0.0.0"  # noqa: S104 - as the person asked
        wanted.append(("CALL2ME_LIVEKIT_PORT", host, settings.livekit.port, socket.SOCK_STREAM))
        wanted.append(("CALL2ME_LIVEKIT_UDP_PORT", host, settings.livekit.udp_port, socket.SOCK_DGRAM))
    if settings.metrics_port:
        wanted.append(("CALL2ME_METRICS_PORT", settings.host, settings.metrics_port, socket.SOCK_STREAM))
    return wanted


def port_trouble(name: str, host: str, port: int, kind: socket.SocketKind) -> str | None:
    """Why a port cannot be listened on and what to do, None when it can be."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, kind) as probe:
        if kind is socket.SOCK_STREAM:
            # As the servers do: connections of the last run that linger do not count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host.strip("[]"), port))
        except OSError as error:
            what = f"{'TCP' if kind is socket.SOCK_STREAM else 'UDP'} port {port}"
            if error.errno == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
                which = "CALL2ME_SIP_LISTEN" if name == "CALL2ME_SIP_LISTEN" else "CALL2ME_HOST"
                return f"{what} on {host} cannot be used: that is no address of this machine; set {which}."
            if error.errno != errno.EADDRINUSE:
                return f"{what} on {host} cannot be used ({error.strerror}); set {name} to another port."
            return f"{what} is taken{_holder(port, kind)}: stop that, or set {name} to another port."
    return None


def _holder(port: int, kind: socket.SocketKind) -> str:
    import psutil  # noqa: PLC0415 - only when something is in the way

    try:
        for connection in psutil.net_connections("inet"):
            if connection.type != kind or not connection.laddr or connection.laddr.port != port:
                continue
            if connection.pid and (connection.status in {psutil.CONN_LISTEN, psutil.CONN_NONE}):
                return f" by {psutil.Process(connection.pid).name()} (process {connection.pid})"
    except psutil.Error:
        pass  # only the superuser may see everybody's, and on macOS nobody else
    return ""


def check_folder(home: Path) -> None:
    """Raise `CannotStart` unless files can be written in the data folder."""
    # Asked by doing it: the mode says nothing of a disk that is mounted to be read, or of a quota.
    for folder in (home, home / "run", home / "logs"):
        probe = folder / f".probe-{os.getpid()}"
        try:
            probe.write_bytes(b"probe")
            probe.unlink()
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                raise CannotStart(
                    f"There is no room left for {folder}: make room, "
                    "or set CALL2ME_HOME to a folder on another disk."
                ) from error
            raise CannotStart(
                f"The data folder {folder} cannot be written ({error.strerror}); "
                "make it writable or set CALL2ME_HOME to another folder."
            ) from error
    # What one start as another user left, mostly with sudo. The rest may be read-only on purpose.
    ours = (*home.glob("*.sqlite*"), *(home / "logs").iterdir(), home / "recordings", home / "spool")
    for path in ours:
        if path.exists() and not os.access(path, os.W_OK):
            raise CannotStart(
                f"{path}, which belongs to {_owner(path)}, cannot be written: "
                f"`sudo chown -R {_user(os.getuid())} {shlex.quote(str(home))}` and "
                f"`chmod -R u+rwX {shlex.quote(str(home))}` mend that."
            )


def _owner(path: Path) -> str:
    try:
        return _user(path.lstat().st_uid)
    except OSError:
        return "nobody"


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
