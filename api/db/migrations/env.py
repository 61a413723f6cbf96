"""What Alembic runs for every command: the connection and the tables are handed in by `api.db.migrate`."""

from typing import Any, Literal

from alembic import context
from sqlalchemy import JSON

from api.db.columns import UtcDateTime
from api.db.migrate import OPTIONS
from api.db.sealed import SealedJson, SealedText


def render(kind: str, item: Any, _context: Any) -> str | Literal[False]:
    """Write our own column types by their names, so that revisions say what tables say."""
    if kind == "type" and isinstance(item, JSON):
        return "api.db.columns.Json"
    if kind == "type" and isinstance(item, SealedText | SealedJson):
        return "sa.Text()"  # what is sealed is a text to the database
    if kind == "type" and isinstance(item, UtcDateTime):
        return "api.db.columns.UtcDateTime()"
    return False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=context.config.attributes["metadata"],
    render_item=render,
    **OPTIONS,
)
context.run_migrations()
