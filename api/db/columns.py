"""Column types and the names of constraints, the same on SQLite and PostgreSQL."""

import secrets
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, DateTime, Dialect
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeDecorator
from sqlmodel import SQLModel

# Before the first table: constraints without a name cannot be changed by a later migration.
SQLModel.metadata.naming_convention = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

Json = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
"""Any JSON value; PostgreSQL keeps it as JSONB. Never changed in place: assign a new value."""


class UtcDateTime(TypeDecorator[datetime]):
    """A moment. Aware in Python, always; UTC in the database."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse a moment that does not say where it is."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a datetime without a time zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """SQLite gives back naive ones."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def now() -> datetime:
    """This moment, in UTC."""
    return datetime.now(UTC)


def new_id(kind: str, digits: int = 12) -> str:
    """A fresh identifier, `<kind>_<hexadecimal digits>`."""
    return f"{kind}_{secrets.token_hex((digits + 1) // 2)[:digits]}"


def fields_of(row: SQLModel) -> dict[str, Any]:
    """A row's columns as a dictionary, as they are now in memory."""
    return {name: getattr(row, name) for name in type(row).model_fields}
