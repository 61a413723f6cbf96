"""What a database would lose if its tables became those of an older revision."""

from dataclasses import dataclass

from sqlalchemy import Connection, column, func, inspect, select, table

Shape = dict[str, set[str]]
"""Each table with its columns."""
_NOT_OURS = {"alembic_version"}


@dataclass(frozen=True)
class Loss:
    """Rows of a table, or what stands in one of its columns."""

    table: str
    column: str | None
    rows: int

    def __str__(self) -> str:
        where = f"{self.table}.{self.column}" if self.column else f"the table {self.table}"
        return f"{where} ({self.rows} row{'s' if self.rows != 1 else ''})"


def shape(connection: Connection) -> Shape:
    """The tables there are now."""
    found = inspect(connection)  # a new one: it remembers what it saw
    return {
        name: {one["name"] for one in found.get_columns(name)}
        for name in found.get_table_names()
        if name not in _NOT_OURS
    }


def gone(before: Shape, after: Shape) -> list[tuple[str, str | None]]:
    """Tables, and columns of tables that stay, which are not there afterwards."""
    tables: list[tuple[str, str | None]] = [(name, None) for name in sorted(before.keys() - after.keys())]
    columns = [
        (name, one)
        for name in sorted(before.keys() & after.keys())
        for one in sorted(before[name] - after[name])
    ]
    return tables + columns


def counted(connection: Connection, going: list[tuple[str, str | None]]) -> list[Loss]:
    """How many rows each has; those with nothing in them are no loss."""
    losses = []
    for name, of_column in going:
        asked = select(func.count()).select_from(table(name))
        if of_column is not None:
            asked = asked.where(column(of_column).is_not(None))
        if rows := connection.execute(asked).scalar_one():
            losses.append(Loss(name, of_column, rows))
    return losses
