"""Questions below the ORM, for what is asked at every request: compiled once, answered without a session.

A session, its transaction and a row's object cost ten times what the database does. A lookup has none of
them: it reads what is committed now, by itself.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import Dialect, Select

T = TypeVar("T")


@dataclass(frozen=True)
class Compiled(Generic[T]):
    """A lookup in the words of one database."""

    sql: str
    names: tuple[str, ...]
    """Of its values, in the order of their places."""
    columns: tuple[tuple[str, Callable[[Any], Any] | None], ...]
    """Of what it brings: each one's name, and how the value is read."""
    make: Callable[..., T]

    def values(self, given: dict[str, Any]) -> tuple[Any, ...]:
        """What is asked with, in order."""
        return tuple([given[name] for name in self.names])

    def read(self, row: Sequence[Any]) -> T:
        """One row as what it is here."""
        return self.make(
            **{
                name: value if read is None else read(value)
                for (name, read), value in zip(self.columns, row, strict=True)
            }
        )


class Lookup(Generic[T]):
    """A SELECT whose values are `bindparam`s of types that drivers take as they are: text, numbers.

    Held by a module; `Database.ask` compiles it once for its own dialect. `make` gets the columns by name.
    """

    def __init__(self, make: Callable[..., T], statement: Select[*tuple[Any, ...]]) -> None:
        self.make = make
        self.statement = statement

    def compiled(self, dialect: Dialect) -> Compiled[T]:
        """As this database is asked."""
        compiled = self.statement.compile(dialect=dialect)
        return Compiled(
            str(compiled),
            tuple(compiled.positiontup or ()),
            tuple(
                (str(column.key), column.type.dialect_impl(dialect).result_processor(dialect, None))
                for column in self.statement.selected_columns
            ),
            self.make,
        )
