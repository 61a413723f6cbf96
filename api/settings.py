"""The api's settings: the environment is read here, once, into frozen values handed down."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Literal

import platformdirs

from api.buckets import Bucket, bucket_of
from api.payment_settings import Payments, payments_of
from api.secret_keys import Secrets, read_secrets
from api.telephone_settings import Carrier, Tolls, carrier_of, demo_caller_of, demo_numbers_of, tolls_of
from pipelines import tracing
from pipelines.environment import Environment, SettingsError, host_and_port, make_folders
from pipelines.providers import ProviderSettings, providers_of
from pipelines.setting_names import misspelt

_LIVEKIT = ("ws", "wss", "http", "https")
FOLDERS = ("recordings", "knowledge", "functions", "spool", "run", "logs", "models", "bin")


@dataclass(frozen=True)
class LiveKit:
    """Where livekit-server is, and how we speak to it."""

    url: str
    """For servers: `ws://…` or `wss://…`."""
    public_url: str
    """For browsers."""
    port: int
    udp_port: int
    server: str
    """Path of a livekit-server binary to use instead of looking for one; empty means look."""
    is_ours: bool
    """True when `call2me up` starts livekit-server itself, because no other was configured."""


@dataclass(frozen=True)
class LanguageModel:
    """The OpenAI-compatible server that reads calls once they are over. Neither key nor address: none."""

    key: str = field(repr=False)
    base_url: str
    name: str
    """The model that a server of one's own is asked for; empty where nobody said."""

    @property
    def is_there(self) -> bool:
        """True when some server may be asked."""
        return bool(self.key or self.base_url)


NO_LANGUAGE_MODEL = LanguageModel(key="", base_url="", name="")


@dataclass(frozen=True)
class Google:
    """Signing in with Google. No client id: that is switched off."""

    client_ids: tuple[str, ...]
    """Ours at Google: a token that was made for another site is refused."""
    keys_url: str
    """Where the public keys are that Google signs with."""


@dataclass(frozen=True)
class Log:
    """How log lines look."""

    format: Literal["human", "json"]
    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"]


@dataclass(frozen=True)
class Settings:
    """Everything the api was told. Paths are absolute, addresses have no trailing slash."""

    home: Path
    host: str
    port: int
    public_url: str
    own_hosts: tuple[str, ...]
    """Further names under which this server is reached; like `public_url`'s they are no owner's domain."""
    database_url: str = field(repr=False)
    """An async SQLAlchemy URL: `sqlite+aiosqlite://…` or `postgresql+asyncpg://…`."""
    signup: Literal["open", "closed"]
    cors_origins: tuple[str, ...]
    trusted_proxies: int
    """How many proxies in front of us append to X-Forwarded-For; 0 means that it is not read."""
    has_rate_limits: bool
    user_rate_limit: int
    """Requests a minute of one user."""
    redis_url: str = field(repr=False)
    """Where processes count requests together; empty means that each counts for itself."""
    functions: Path
    """Developers' Python functions."""
    allowed_hosts: tuple[str, ...]
    """Hosts outside the public internet that owners' URLs may lead to: `host` or `host:port`."""
    bucket: Bucket | None
    """Where recordings, exports and knowledge are kept in place of folders of `home`."""
    log: Log
    language_model: LanguageModel
    providers: ProviderSettings = field(repr=False)
    """Keys for previews and single sentences; calls have the worker's."""
    mail_url: str = field(repr=False)
    """The SMTP server; empty means that letters are written into the folder `mail`."""
    mail_from: str
    google: Google
    demo_numbers: tuple[str, ...]
    """Telephone numbers in E.164 form that are lent to accounts for a quarter of an hour."""
    demo_caller: str
    """The number that strangers are called from who ask for it; empty: nobody is."""
    tolls: Tolls
    has_livekit_sip: bool
    """Whether telephones come by livekit-sip instead of our own exchange."""
    carrier: Carrier
    contact_email: str
    """Who gets what strangers write; empty means the first account."""
    metrics_port: int
    """Where Prometheus may read our figures; 0 means nowhere."""
    otlp_endpoint: str
    """Where traces are sent; empty means nowhere."""
    drain_seconds: int
    """How long the worker lets calls go on that run when it is asked to stop; `call2me up` waits as long."""
    prices: Path | None
    """A file of providers' prices instead of the one that came with us."""
    payments: Payments = field(repr=False)
    is_billing: bool
    """False: what calls cost is written down and this server pays, so nobody is refused."""
    rates: Path | None
    """A file of what owners are charged instead of the one that came with us."""
    livekit: LiveKit
    secrets: Secrets
    misspelt: tuple[str, ...]
    """A sentence for each variable that looks like a setting and is none."""

    @property
    def recordings(self) -> Path:
        """Sealed recordings, `<call_id>.ogg`."""
        return self.home / "recordings"

    @property
    def knowledge(self) -> Path:
        """Documents, what was read of them, and indexes."""
        return self.home / "knowledge"

    @property
    def run(self) -> Path:
        """Sockets, pid files, what was generated for other programs."""
        return self.home / "run"

    @property
    def logs(self) -> Path:
        """One file a process."""
        return self.home / "logs"

    @property
    def own_url(self) -> str:
        """Where processes on this machine reach us."""
        return f"http://{_address(self.host)}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """True when only this machine can reach us."""
        return _is_loopback(self.host)

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None) -> "Settings":
        """Read the settings, and make the data folder and its secrets where they are missing.

        Raises `SettingsError` with a sentence for a person.
        """
        given = os.environ if environ is None else environ
        read = Environment(given)
        home = read.folder("CALL2ME_HOME", platformdirs.user_data_dir("call2me"))
        make_folders(home, FOLDERS)
        host = _host(read)
        port = read.number("CALL2ME_PORT", 8000, 0, 65_535)
        livekit_port = read.number("CALL2ME_LIVEKIT_PORT", 7880, 1, 65_535)
        livekit_url = read.url("LIVEKIT_URL", f"ws://127.0.0.1:{livekit_port}", _LIVEKIT)
        return cls(
            home=home,
            host=host,
            port=port,
            public_url=read.url("CALL2ME_PUBLIC_URL", f"http://{_address(host)}:{port}", ("http", "https")),
            own_hosts=tuple(host_and_port(host)[0].lower() for host in read.hosts("CALL2ME_OWN_HOSTS")),
            database_url=_database_url(read.text("CALL2ME_DATABASE_URL", ""), home),
            signup=read.choice(
                "CALL2ME_SIGNUP", "open" if _is_loopback(host) else "closed", ("open", "closed")
            ),
            cors_origins=_origins(read),
            trusted_proxies=read.number("CALL2ME_TRUSTED_PROXIES", 0, 0, 10),
            has_rate_limits=read.choice("CALL2ME_RATE_LIMITS", "on", ("on", "off")) == "on",
            user_rate_limit=read.number("CALL2ME_USER_RATE_LIMIT", 100, 1, 1_000_000),
            redis_url=_redis_url(read),
            functions=read.folder("CALL2ME_FUNCTIONS", home / "functions"),
            allowed_hosts=read.hosts("CALL2ME_ALLOW_HOSTS"),
            bucket=bucket_of(read),
            log=Log(
                format=read.choice("CALL2ME_LOG_FORMAT", "human", ("human", "json")),
                level=read.choice("CALL2ME_LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR")),
            ),
            language_model=LanguageModel(
                key=read.text("OPENAI_API_KEY", ""),
                base_url=read.optional_url("OPENAI_BASE_URL"),
                name=read.text("CALL2ME_LLM_MODEL", ""),
            ),
            providers=providers_of(read),
            mail_url=_mail_url(read),
            mail_from=read.mailbox("CALL2ME_MAIL_FROM", "Call2Me <call2me@localhost>"),
            google=Google(
                client_ids=read.several("CALL2ME_GOOGLE_CLIENT_ID"),
                keys_url=read.url(
                    "CALL2ME_GOOGLE_KEYS_URL", "https://www.googleapis.com/oauth2/v3/certs", ("https", "http")
                ),
            ),
            demo_numbers=demo_numbers_of(read),
            demo_caller=demo_caller_of(read),
            tolls=tolls_of(read),
            has_livekit_sip=read.choice("CALL2ME_PHONES", "exchange", ("exchange", "livekit")) == "livekit",
            carrier=carrier_of(read),
            contact_email=read.mailbox("CALL2ME_CONTACT_EMAIL", ""),
            metrics_port=read.number("CALL2ME_METRICS_PORT", 0, 0, 65_535),
            otlp_endpoint=tracing.check(read.optional_url("OTEL_EXPORTER_OTLP_ENDPOINT")),
            drain_seconds=read.number("CALL2ME_DRAIN_SECONDS", 2, 0, 86_400),
            prices=Path(prices).expanduser() if (prices := read.text("CALL2ME_PRICES", "")) else None,
            payments=payments_of(read),
            is_billing=read.choice("CALL2ME_BILLING", "off", ("off", "on")) == "on",
            rates=Path(rates).expanduser() if (rates := read.text("CALL2ME_RATES", "")) else None,
            livekit=LiveKit(
                url=livekit_url,
                public_url=read.url("LIVEKIT_PUBLIC_URL", livekit_url, _LIVEKIT),
                port=livekit_port,
                udp_port=read.number("CALL2ME_LIVEKIT_UDP_PORT", 7882, 1, 65_535),
                server=read.text("CALL2ME_LIVEKIT_SERVER", ""),
                is_ours=read.text("LIVEKIT_URL", "") == "",
            ),
            secrets=read_secrets(read, home),
            misspelt=tuple(misspelt(given)),
        )


def _host(read: Environment) -> str:
    host = read.text("CALL2ME_HOST", "127.0.0.1")
    try:
        named, port = host_and_port(host)
    except ValueError:
        named, port = "", None
    if not named or port is not None:
        raise SettingsError("CALL2ME_HOST must be an address of this machine, like 127.0.0.1 or 0.0.0.0.")
    return host


def _origins(read: Environment) -> tuple[str, ...]:
    origins = tuple(origin.rstrip("/") for origin in read.several("CALL2ME_CORS_ORIGINS"))
    if not all(re.fullmatch(r"https?://[^/\s*]+", origin) for origin in origins):
        raise SettingsError(
            "CALL2ME_CORS_ORIGINS must be origins like https://app.example.com, without a path."
        )
    return origins


def _redis_url(read: Environment) -> str:
    url = read.text("CALL2ME_REDIS_URL", "")
    return read.url("CALL2ME_REDIS_URL", url, ("redis", "rediss")) if url else ""


def _mail_url(read: Environment) -> str:
    url = read.text("CALL2ME_SMTP_URL", "")
    return read.url("CALL2ME_SMTP_URL", url, ("smtp", "smtps")) if url else ""


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _address(host: str) -> str:
    """The address a browser on this machine can use for what we listen on."""
    if host in {"0.0.0.0", "::", ""}:  # noqa: S104 - compared with, not listened on
        return "127.0.0.1"
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def _database_url(raw: str, home: Path) -> str:
    if not raw:
        return f"sqlite+aiosqlite:///{home / 'call2me.sqlite'}"
    scheme, separator, rest = raw.partition("://")
    match scheme:
        case "sqlite" | "sqlite+aiosqlite" if separator:
            return f"sqlite+aiosqlite://{rest}"
        case "postgres" | "postgresql" | "postgresql+asyncpg" if separator:
            return f"postgresql+asyncpg://{rest}"
    raise SettingsError("CALL2ME_DATABASE_URL must begin with sqlite:// or postgresql://.")
