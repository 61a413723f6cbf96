"""Transactions as CSV, safe to open in a spreadsheet."""

import csv
import io
from collections.abc import Iterable

from api.wallet.money import text
from api.wallet.table import TransactionRow

HEADER = (
    "id created_at type amount_usd balance_before_usd balance_after_usd cost_usd margin_usd margin_percent "
    "endpoint_type model_used call_id agent_id seconds description"
).split()

_FORMULAS = ("=", "+", "-", "@", "\t", "\r")


def header() -> bytes:
    """The first line."""
    return _written([HEADER])


def lines(rows: Iterable[TransactionRow]) -> bytes:
    """A line for each transaction."""
    return _written(
        [
            str(row.id),
            row.created_at.isoformat(),
            row.type,
            text(row.amount_micros),
            text(row.balance_before_micros),
            text(row.balance_after_micros),
            "" if row.cost_micros is None else text(row.cost_micros),
            "" if row.margin_micros is None else text(row.margin_micros),
            "" if row.margin_percent is None else str(row.margin_percent),
            _safe(row.endpoint_type),
            _safe(row.llm_model),
            _safe(row.call_id),
            _safe(row.agent_id),
            f"{row.duration_ms / 1000:.3f}",
            _safe(row.description),
        ]
        for row in rows
    )


def _written(lines_: Iterable[list[str]]) -> bytes:
    written = io.StringIO()
    csv.writer(written).writerows(lines_)
    return written.getvalue().encode()


def _safe(value: str | None) -> str:
    """Text that no spreadsheet takes for a formula (OWASP, CSV injection)."""
    value = value or ""
    return f"'{value}" if value.startswith(_FORMULAS) else value
