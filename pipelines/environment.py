"""Reading settings, the same way for the api and the worker; each of them says which."""

import errno
import json
import os
import re
from collections.abc import Iterable, Mapping
from email.utils import parseaddr
from ipaddress import ip_address
from pathlib import Path
from typing import TypeVar, cast
from urllib.parse import urlsplit

Choice = TypeVar("Choice", bound=str)


class SettingsError(Exception):
    """A setting cannot be used. The message is one sentence: what is wrong and what to do."""


class Environment:
    """Reads one variable at a time; an empty one counts as absent. All raise `SettingsError`."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables

    def text(self, name: str, default: str) -> str:
        """What it says, without the space around it."""
        return self._variables.get(name, "").strip() or default

    def number(self, name: str, default: int, low: int, high: int) -> int:
        """A whole number between two, both included."""
        raw = self.text(name, str(default))
        if not raw.isascii() or not raw.isdigit() or not low <= int(raw) <= high:
            raise SettingsError(f"{name} must be a whole number from {low} to {high}.")
        return int(raw)

    def choice(self, name: str, default: Choice, choices: tuple[Choice, ...]) -> Choice:
        """One of a few words, in any case of letters."""
        raw = self.text(name, default)
        for choice in choices:
            if raw.lower() == choice.lower():
                return choice
        raise SettingsError(f"{name} must be one of: {', '.join(choices)}.")

    def several(self, name: str, default: str = "") -> tuple[str, ...]:
        """Words separated by commas, without the space around each."""
        return tuple(part.strip() for part in self.text(name, default).split(",") if part.strip())

    def url(self, name: str, default: str, schemes: tuple[str, ...]) -> str:
        """An address of one of these schemes, without a slash at its end."""
        raw = self.text(name, default).rstrip("/")
        scheme, separator, rest = raw.partition("://")
        if not separator or scheme not in schemes or not rest:
            raise SettingsError(f"{name} must begin with {' or '.join(f'{known}://' for known in schemes)}.")
        if not _has_host(raw):
            raise SettingsError(f"{name} must be an address like {scheme}://host:1234, without spaces.")
        return raw

    def optional_url(self, name: str, schemes: tuple[str, ...] = ("http", "https")) -> str:
        """The same, and nothing where it is not set."""
        return self.url(name, "", schemes) if self.text(name, "") else ""

    def mailbox(self, name: str, default: str) -> str:
        """An address for mail, perhaps with a name before it."""
        raw = self.text(name, default)
        if raw and not re.fullmatch(r"[^@\s]+@[^@\s]+", parseaddr(raw)[1]):
            raise SettingsError(f"{name} must be an address like Voice <voice@example.com>.")
        return raw

    def hosts(self, name: str) -> tuple[str, ...]:
        """Hosts separated by commas, each with a port or without."""
        hosts = self.several(name)
        for host in hosts:
            try:
                host_and_port(host)
            except ValueError:
                raise SettingsError(
                    f"{name} must be hosts separated by commas, like localhost:11434,files.internal."
                ) from None
        return hosts

    def folder(self, name: str, default: str | Path) -> Path:
        """A path, absolute and with `~` resolved."""
        return Path(self.text(name, str(default))).expanduser().absolute()


def host_and_port(named: str) -> tuple[str, int | None]:
    """The parts of `files.internal`, `10.0.0.5:11434`, `::1` or `[::1]:80`; ValueError for others."""
    try:
        return str(ip_address(named.strip("[]"))), None
    except ValueError:
        parts = urlsplit(f"//{named}")
    if not parts.hostname or parts.netloc != named or "@" in named or set(named) & set(" *"):
        raise ValueError(named)
    return parts.hostname.rstrip("."), parts.port


def _has_host(url: str) -> bool:
    try:
        parts = urlsplit(url)
        has_port = parts.port is not None  # raises where it is no number of a port
        return (
            bool(parts.hostname)
            and (has_port or not parts.netloc.endswith(":"))
            and not set(url) & set(" \t")
        )
    except ValueError:
        return False


def make_folders(home: Path, names: Iterable[str]) -> None:
    """Make the data folder and these in it, for their owner alone, and see that they can be written to."""
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        for folder in (home, *(home / name for name in names)):
            folder.mkdir(exist_ok=True, mode=0o700)
            if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
                is_read_only = os.statvfs(folder).f_flag & os.ST_RDONLY
                why = errno.EROFS if is_read_only else errno.EACCES
                raise OSError(why, os.strerror(why))
    except OSError as error:
        raise SettingsError(
            f"The data folder {home} cannot be used ({error.strerror}); "
            "make it writable or set CALL2ME_HOME to another folder."
        ) from error


def kept_secrets(path: Path) -> dict[str, object]:
    """What `secrets.json` holds; nothing where there is none."""
    try:
        kept = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise SettingsError(
            f"{path} cannot be read ({error.strerror}); give it back to its owner."
        ) from error
    except ValueError as error:
        raise SettingsError(f"{path} is not JSON; restore it, or remove it to make new secrets.") from error
    return cast("dict[str, object]", kept) if isinstance(kept, dict) else {}
