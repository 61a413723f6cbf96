"""Give every secret in the database a new key: each is sealed again, and stays readable throughout."""

from sqlalchemy import Column, MetaData, Table, Text, literal, select, tuple_, type_coerce, update

from api.db.engine import Database
from api.db.sealed import SealedJson, SealedText
from api.db.vault import Vault

_ROWS = 200
"""In one transaction: nobody else waits long."""


async def reseal(database: Database, metadata: MetaData, vault: Vault) -> int:
    """Seal all secrets with the vault's first key; returns how many. Safe to repeat and to interrupt."""
    done = 0
    for table in metadata.sorted_tables:
        for column in table.columns:
            if isinstance(column.type, SealedText | SealedJson):
                done += await _reseal(database, table, column, vault)
    return done


async def _reseal(database: Database, table: Table, column: "Column[object]", vault: Vault) -> int:
    key, raw, after, done = list(table.primary_key.columns), type_coerce(column, Text), None, 0
    while True:
        async with database.transaction() as session:
            wanted = select(*key, raw.label("sealed")).where(column.is_not(None)).order_by(*key).limit(_ROWS)
            if after is not None:
                wanted = wanted.where(tuple_(*key) > after)
            connection = await session.connection()
            rows = (await connection.execute(wanted)).all()
            for row in rows:
                same = [column_ == value for column_, value in zip(key, row, strict=False)]
                # Only what is still as it was read: somebody may enter a new secret meanwhile.
                await connection.execute(
                    update(table)
                    .where(*same, raw == row.sealed)
                    .values({column.name: literal(vault.renewed(row.sealed), Text())})
                )
        done += len(rows)
        if len(rows) < _ROWS:
            return done
        after = tuple_(*(literal(value, column_.type) for column_, value in zip(key, rows[-1], strict=False)))
