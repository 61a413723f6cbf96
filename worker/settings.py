"""The worker's settings: the environment is read here, once, into frozen values handed down."""

import dataclasses
import hashlib
import os
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import platformdirs

from pipelines import tracing
from pipelines.environment import Environment, SettingsError, kept_secrets, make_folders
from pipelines.providers import ProviderSettings, Vad, providers_of
from pipelines.setting_names import misspelt

LogFormat = Literal["human", "json"]
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR"]

MAX_SOCKET_PATH_BYTES = 100
"""Unix sockets have addresses of at most 108 bytes on Linux and 104 on macOS."""

_SIP_ADDRESS = re.compile(
    r"(?P<transport>udp|tcp|tls):(?P<host>[0-9.]+|\[[0-9A-Fa-f:.]+\])(:(?P<port>[0-9]{1,5}))?"
)
_PORTS = re.compile(r"([0-9]{4,5})-([0-9]{4,5})")
_WORKER_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class SipAddress:
    """One address that SIP listens on."""

    transport: Literal["udp", "tcp", "tls"]
    host: str
    port: int


@dataclass(frozen=True)
class WorkerSettings:
    """Everything the worker was told. Paths are absolute, addresses have no trailing slash."""

    home: Path
    worker_id: str
    """The same after every restart; another one for each data folder and machine."""
    api_url: str
    internal_key: str = field(repr=False)
    livekit_url: str
    livekit_api_key: str = field(repr=False)
    livekit_api_secret: str = field(repr=False)
    providers: ProviderSettings = field(repr=False)
    whisper_model: str
    """A folder with Whisper's weights, or a name on the hub; empty means the packaged ones."""
    allowed_hosts: tuple[str, ...]
    """Hosts outside the public internet that owners' URLs may lead to: `host` or `host:port`."""
    sip_listen: tuple[SipAddress, ...]
    """Where telephones reach us; empty: there are no phones here."""
    sip_public_host: str
    """What carriers are told that we are called, behind NAT with a fixed mapping; empty: as we listen."""
    sip_certificate: Path | None
    sip_private_key: Path | None
    sip_ca_file: Path | None
    """Who signs certificates of carriers, beside those whom the system trusts."""
    sip_strangers: int | None
    """The code that is answered to who is no carrier of ours; None: nothing is."""
    rtp_ports: tuple[int, int]
    phone_shards: int
    """Processes that hold phone calls, beside the spare one."""
    max_phone_calls: int
    idle_processes: int
    max_calls: int
    drain_seconds: float
    metrics_port: int
    """Where Prometheus may read the supervisor's figures; 0 means nowhere."""
    otlp_endpoint: str
    """Where traces of calls are sent; empty means nowhere."""
    log_format: LogFormat
    log_level: LogLevel
    misspelt: tuple[str, ...] = ()
    """A sentence for each variable that looks like a setting and is none."""

    @property
    def functions(self) -> Path:
        """Developers' Python functions."""
        return self.providers.functions or self.home / "functions"

    @property
    def spool(self) -> Path:
        """Events and recordings of running calls."""
        return self.home / "spool"

    @property
    def run(self) -> Path:
        """Sockets and locks."""
        return self.home / "run"

    @property
    def logs(self) -> Path:
        """One file a process."""
        return self.home / "logs"

    @property
    def models(self) -> Path:
        """Joined and checked weights."""
        return self.home / "models"

    @property
    def calls_socket(self) -> Path:
        """Where each call says that it is alive."""
        return self.run / "calls.sock"

    @property
    def exchange_socket(self) -> Path:
        """Where shards meet the exchange."""
        return self.run / "exchange.sock"

    @property
    def dialogs(self) -> Path:
        """What the exchange knows of each call."""
        return self.run / "dialogs"

    @property
    def has_phones(self) -> bool:
        """True where SIP is to be spoken."""
        return bool(self.sip_listen)

    @property
    def models_socket(self) -> Path:
        """Where the models process is asked."""
        return self.run / "models.sock"

    @property
    def has_models_process(self) -> bool:
        """True when speech is heard or spoken by models on this machine."""
        return self.providers.models_socket is not None

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None) -> "WorkerSettings":
        """Read the settings and make the folders that are missing.

        Raises `SettingsError` with a sentence for a person.
        """
        given = os.environ if environ is None else environ
        read = Environment(given)
        home = read.folder("CALL2ME_HOME", platformdirs.user_data_dir("call2me"))
        run = home / "run"
        if len(os.fsencode(run / "models.sock")) > MAX_SOCKET_PATH_BYTES:
            raise SettingsError(
                f"The path {home} is too long for a socket; set CALL2ME_HOME to a shorter one."
            )
        make_folders(home, ("functions", "spool", "run", "logs", "models"))
        kept = kept_secrets(home / "secrets.json")
        functions = read.folder("CALL2ME_FUNCTIONS", home / "functions")
        livekit_port = read.number("CALL2ME_LIVEKIT_PORT", 7880, 1, 65_535)
        api_port = read.number("CALL2ME_PORT", 8000, 0, 65_535)
        return cls(
            home=home,
            worker_id=_worker_id(read, home),
            api_url=read.url("CALL2ME_API_URL", f"http://127.0.0.1:{api_port}", ("http", "https")),
            internal_key=_secret(read, "CALL2ME_INTERNAL_KEY", kept, "internal_key"),
            livekit_url=read.url(
                "LIVEKIT_URL", f"ws://127.0.0.1:{livekit_port}", ("ws", "wss", "http", "https")
            ),
            livekit_api_key=_secret(read, "LIVEKIT_API_KEY", kept, "livekit_api_key"),
            livekit_api_secret=_secret(read, "LIVEKIT_API_SECRET", kept, "livekit_api_secret"),
            providers=_providers(read, run, functions),
            whisper_model=read.text("CALL2ME_WHISPER_MODEL", ""),
            allowed_hosts=read.hosts("CALL2ME_ALLOW_HOSTS"),
            sip_listen=_sip_listen(read),
            sip_public_host=_public_host(read),
            sip_certificate=_file(read, "CALL2ME_SIP_CERTIFICATE"),
            sip_private_key=_file(read, "CALL2ME_SIP_PRIVATE_KEY"),
            sip_ca_file=_file(read, "CALL2ME_SIP_CA_FILE"),
            sip_strangers=_strangers(read),
            rtp_ports=_ports(read),
            phone_shards=read.number("CALL2ME_PHONE_SHARDS", 1, 1, 64),
            max_phone_calls=read.number("CALL2ME_MAX_PHONE_CALLS", 24, 1, 2000),
            idle_processes=read.number("CALL2ME_IDLE_PROCESSES", 2, 1, 64),
            max_calls=read.number("CALL2ME_MAX_CALLS", 4 * (os.cpu_count() or 1), 1, 10_000),
            drain_seconds=float(read.number("CALL2ME_DRAIN_SECONDS", 2, 0, 86_400)),
            metrics_port=read.number("CALL2ME_WORKER_METRICS_PORT", 0, 0, 65_535),
            otlp_endpoint=tracing.check(read.optional_url("OTEL_EXPORTER_OTLP_ENDPOINT")),
            log_format=read.choice("CALL2ME_LOG_FORMAT", "human", ("human", "json")),
            log_level=read.choice("CALL2ME_LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR")),
            misspelt=tuple(misspelt(given)),
        )


def _secret(read: Environment, name: str, kept: Mapping[str, object], key: str) -> str:
    value = read.text(name, "") or kept.get(key)
    if not isinstance(value, str) or not value:
        raise SettingsError(
            f"{name} is not set and secrets.json has no {key}; start the api on this data folder once, "
            f"or set {name} to what the api uses."
        )
    return value


def _sip_listen(read: Environment) -> tuple[SipAddress, ...]:
    wanted = read.text("CALL2ME_SIP_LISTEN", "")
    found = []
    for one in filter(None, (part.strip() for part in wanted.split(","))):
        match = _SIP_ADDRESS.fullmatch(one)
        if match is None or int(match["port"] or 5060) > 65_535:
            raise SettingsError(
                "CALL2ME_SIP_LISTEN must be addresses like udp:0.0.0.0:5060, with commas between them; "
                "udp, tcp or tls."
            )
        port = int(match["port"]) if match["port"] else 5061 if match["transport"] == "tls" else 5060
        found.append(SipAddress(match["transport"], match["host"], port))  # type: ignore[arg-type]
    return tuple(found)


def _public_host(read: Environment) -> str:
    host = read.text("CALL2ME_SIP_PUBLIC_HOST", "")
    if host and not re.fullmatch(r"[A-Za-z0-9.:_\[\]-]*[A-Za-z0-9\]]", host):
        raise SettingsError("CALL2ME_SIP_PUBLIC_HOST must be an address or a name, like 203.0.113.7.")
    return host


def _strangers(read: Environment) -> int | None:
    given = read.text("CALL2ME_SIP_STRANGERS", "drop")
    if given == "drop":
        return None
    if not re.fullmatch("[4-6][0-9]{2}", given):
        raise SettingsError("CALL2ME_SIP_STRANGERS must be drop, or a code of SIP like 403.")
    return int(given)


def _ports(read: Environment) -> tuple[int, int]:
    wanted = read.text("CALL2ME_RTP_PORTS", "20000-21999")
    match = _PORTS.fullmatch(wanted)
    if match is None or not 1024 <= int(match[1]) < int(match[2]) <= 65_535:
        raise SettingsError("CALL2ME_RTP_PORTS must be two ports like 20000-21999, of 1024 to 65535.")
    return int(match[1]), int(match[2])


def _file(read: Environment, name: str) -> Path | None:
    given = read.text(name, "")
    if given and not Path(given).is_file():
        raise SettingsError(f"{name}: there is no file {given}.")
    return Path(given).absolute() if given else None


def _worker_id(read: Environment, home: Path) -> str:
    node = re.sub(r"[^A-Za-z0-9-]", "-", platform.node().split(".")[0])[:40].strip("-") or "worker"
    digest = hashlib.sha256(f"{platform.node()}\0{home}".encode()).hexdigest()[:8]
    worker_id = read.text("CALL2ME_WORKER_ID", f"{node}-{digest}")
    if not _WORKER_ID.fullmatch(worker_id):
        raise SettingsError("CALL2ME_WORKER_ID must be 1 to 64 letters, digits, dots, dashes or underscores.")
    return worker_id


def _providers(read: Environment, run: Path, functions: Path) -> ProviderSettings:
    vads: tuple[Vad, ...] = ("native", "silero")
    given = dataclasses.replace(
        providers_of(read),
        vad=read.choice("CALL2ME_VAD", "native", vads),
        functions=functions,
        models_socket=run / "models.sock",
    )
    # Providers hear and speak for every agent: nothing is left for models that cost 600 MB.
    is_served = bool(given.deepgram_api_key) and given.is_openai_itself
    wanted = read.choice("CALL2ME_LOCAL_MODELS", "auto", ("auto", "on", "off"))
    if wanted == "off" or (wanted == "auto" and is_served):
        return dataclasses.replace(given, models_socket=None)
    return given
