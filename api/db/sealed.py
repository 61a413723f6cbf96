"""Columns that hold secrets: sealed in the database, plain in the row, never in its `repr`.

        secret: SecretStr | None = Field(default=None, sa_column=Column(SealedText, nullable=True))

`call2me secrets rotate` finds every column of these types by itself.
"""

import json
from typing import Any
from weakref import WeakKeyDictionary

from pydantic import SecretStr
from sqlalchemy import Dialect, Text
from sqlalchemy.types import TypeDecorator

from api.db.vault import Vault

_VAULTS: "WeakKeyDictionary[Dialect, Vault]" = WeakKeyDictionary()  # each engine has a dialect of its own


def give(dialect: Dialect, vault: Vault) -> None:
    """Let the columns of one engine seal and open with this vault."""
    _VAULTS[dialect] = vault


def _vault_of(dialect: Dialect) -> Vault:
    if (vault := _VAULTS.get(dialect)) is None:
        raise RuntimeError("this database was opened without a vault")
    return vault


class SealedText(TypeDecorator[SecretStr]):
    """One secret. Two equal ones look different, so it can be neither searched for nor be unique."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: SecretStr | None, dialect: Dialect) -> str | None:
        """Seal; a bare string would mean that somebody had it where it shows."""
        if value is None:
            return None
        if not isinstance(value, SecretStr):
            raise TypeError("a sealed column takes a SecretStr")
        return _vault_of(dialect).seal(value.get_secret_value())

    def process_result_value(self, value: str | None, dialect: Dialect) -> SecretStr | None:
        """Open. Raises `Unreadable` where the key is gone."""
        return None if value is None else SecretStr(_vault_of(dialect).open(value))


class SealedJson(TypeDecorator[dict[str, Any]]):
    """A JSON object of secrets, sealed as one. Never changed in place: assign a new value."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: dict[str, Any] | None, dialect: Dialect) -> str | None:
        """Seal."""
        return None if value is None else _vault_of(dialect).seal(json.dumps(value))

    def process_result_value(self, value: str | None, dialect: Dialect) -> dict[str, Any] | None:
        """Open. Raises `Unreadable` where the key is gone."""
        return None if value is None else dict(json.loads(_vault_of(dialect).open(value)))
