"""Our secrets: made on the first start, kept in `secrets.json`, or given by the environment."""

import base64
import fcntl
import json
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from pipelines.environment import Environment, SettingsError, kept_secrets


@dataclass(frozen=True)
class Secrets:
    """What nobody else may know. Made on the first start, kept in `secrets.json` (0600)."""

    jwt: str = field(repr=False)
    internal_key: str = field(repr=False)
    livekit_api_key: str = field(repr=False)
    livekit_api_secret: str = field(repr=False)
    encryption_keys: tuple[str, ...] = field(repr=False)
    """The first seals what the database keeps secret, any opens it (`api.db.vault`)."""
    are_encryption_keys_kept: bool
    """True where they stand in `secrets.json`, false where the environment gave them."""


def read_secrets(read: Environment, home: Path) -> Secrets:
    """From the environment, else as they were kept; made where there are none. Raises `SettingsError`."""
    kept = _made_secrets(home / "secrets.json")
    given = read.several("CALL2ME_ENCRYPTION_KEYS")
    found = Secrets(
        jwt=read.text("CALL2ME_JWT_SECRET", kept["jwt_secret"]),
        internal_key=read.text("CALL2ME_INTERNAL_KEY", kept["internal_key"]),
        livekit_api_key=read.text("LIVEKIT_API_KEY", kept["livekit_api_key"]),
        livekit_api_secret=read.text("LIVEKIT_API_SECRET", kept["livekit_api_secret"]),
        encryption_keys=given or _kept_keys(home),
        are_encryption_keys_kept=not given,
    )
    if not all(_is_encryption_key(key) for key in found.encryption_keys):
        raise SettingsError(
            "CALL2ME_ENCRYPTION_KEYS must be keys of 32 bytes in URL-safe base64, the newest first, "
            "separated by commas; `call2me secrets key` makes one."
        )
    if len(found.jwt) < 32:
        raise SettingsError("CALL2ME_JWT_SECRET must have at least 32 characters.")
    if len(found.internal_key) < 16:
        raise SettingsError("CALL2ME_INTERNAL_KEY must have at least 16 characters.")
    return found


def _made_secrets(path: Path) -> dict[str, str]:
    """Read the secrets, after making those that are missing."""
    try:
        if not path.exists():
            _write_once(path, json.dumps(_fresh_secrets(), indent=2))
    except OSError as error:
        raise SettingsError(
            f"{path} cannot be written ({error.strerror}); make room and let it be written, "
            "or set CALL2ME_HOME to another folder."
        ) from error
    kept = kept_secrets(path)
    names = _fresh_secrets().keys() - {"encryption_keys"}
    if not all(isinstance(kept.get(name), str) for name in names):
        raise SettingsError(
            f"{path} lacks one of {', '.join(sorted(names))}; restore it, or remove it to make new ones."
        )
    return cast("dict[str, str]", kept)


def kept_encryption_keys(home: Path, found: Secrets) -> tuple[str, ...]:
    """The keys as they are now: `call2me secrets rotate` may have added one since the settings were read."""
    return _kept_keys(home) if found.are_encryption_keys_kept else found.encryption_keys


def keep_encryption_keys(home: Path, change: Callable[[tuple[str, ...]], tuple[str, ...]]) -> tuple[str, ...]:
    """Change the keys in `secrets.json`, whole or not at all, one process after the other."""
    path = home / "secrets.json"
    with (home / "run" / "secrets.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        kept = kept_secrets(path)
        found = kept.get("encryption_keys")
        keys = change(tuple(str(key) for key in found) if isinstance(found, list) else ())
        if found != list(keys):
            draft = _draft(path, json.dumps({**kept, "encryption_keys": keys}, indent=2))
            draft.replace(path)
    return keys


def fresh_encryption_key() -> str:
    """A new key."""
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


def _kept_keys(home: Path) -> tuple[str, ...]:
    keys = kept_secrets(home / "secrets.json").get("encryption_keys")
    if keys is None:
        # Written before there were any.
        return keep_encryption_keys(home, lambda found: found or (fresh_encryption_key(),))
    if not isinstance(keys, list) or not keys or not all(isinstance(key, str) for key in keys):
        raise SettingsError(f"{home / 'secrets.json'} has no usable encryption_keys; restore it.")
    return tuple(keys)


def _is_encryption_key(key: str) -> bool:
    try:
        return len(base64.b64decode(key, altchars=b"-_", validate=True)) == 32
    except ValueError:
        return False


def _fresh_secrets() -> dict[str, str | list[str]]:
    return {
        "jwt_secret": secrets.token_hex(32),
        "internal_key": secrets.token_hex(32),
        "livekit_api_key": "API" + secrets.token_hex(6),
        "livekit_api_secret": secrets.token_hex(32),
        "encryption_keys": [fresh_encryption_key()],
    }


def _write_once(path: Path, text: str) -> None:
    """Write a whole file, or leave the one that another process wrote in the same moment."""
    draft = _draft(path, text)
    try:
        path.hardlink_to(draft)  # fails where the file exists: the first process wins
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def _draft(path: Path, text: str) -> Path:
    """A whole file beside another, safe on the disk, for its owner alone."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    return draft
