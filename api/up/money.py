"""What the command line does with money: an administrator's grant, and the proof of the book."""

import getpass
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

from api.audit import service as audit
from api.db.engine import Database
from api.settings import Settings
from api.stuck import service as stuck_work
from api.stuck.table import StuckRow
from api.up.errors import CannotStart
from api.up.prepare import in_database
from api.users import service as users
from api.wallet import credit as credits_
from api.wallet import ledger
from api.wallet.money import text


def credit(settings: Settings, email: str, amount: str, note: str) -> str:
    """Credit a wallet; a sentence about it. Raises `CannotStart` where that cannot be."""
    try:
        usd = Decimal(amount)
        is_amount = usd.is_finite() and 0 < usd <= credits_.MAX_GRANT_USD and usd == round(usd, 6)
    except InvalidOperation:
        is_amount = False
    if not is_amount:
        raise CannotStart(
            f"AMOUNT must be dollars: above 0, at most {credits_.MAX_GRANT_USD}, with six decimals at most."
        )
    if not note.strip() or len(note) > 500:
        raise CannotStart("--note must say why, in at most 500 characters.")

    async def run(database: Database) -> str:
        async with database.transaction(is_durable=True) as session:
            user = await users.find(session, email)
            if user is None:
                raise CannotStart(f"There is no user {email}.")
            row = await credits_.grant(session, user.id, usd, note=note.strip(), granted_by=_who())
            told = {"transaction_id": row.id, "granted_by": _who()}
            audit.note_operator(session, user.id, "credit_wallet", told)
            return (
                f"Credited ${text(row.amount_micros)} to {user.email}, transaction {row.id}. "
                f"The balance is ${text(row.balance_after_micros)}."
            )

    return in_database(settings, run)


def check(settings: Settings) -> list[str]:
    """What is wrong with the book, a line each."""

    async def run(database: Database) -> list[str]:
        async with database.transaction(writes=False) as session:
            return await ledger.faults(session)

    return in_database(settings, run)


def stuck(settings: Settings) -> list[str]:
    """What failed and is tried again, or was given up, a line each."""

    async def run(database: Database) -> list[str]:
        async with database.transaction(writes=False) as session:
            return [_line(row) for row in await stuck_work.stuck(session)]

    return in_database(settings, run)


def given_up(settings: Settings) -> int:
    """How much is tried no more. Raises `CannotStart` where the database cannot say."""

    async def run(database: Database) -> int:
        async with database.transaction(writes=False) as session:
            return await stuck_work.given_up(session)

    return in_database(settings, run)


def _line(row: StuckRow) -> str:
    then = f"again at {row.try_at:%Y-%m-%d %H:%M:%S}" if row.given_up_at is None else "GIVEN UP"
    return (
        f"{row.kind}/{row.key}  {then}  {row.tries} tries since {row.created_at:%Y-%m-%d %H:%M}  {row.error}"
    )


def retry(settings: Settings, names: Sequence[str]) -> str:
    """Let the next sweep begin anew with these, or with all. Raises `CannotStart` for what is not stuck."""

    async def run(database: Database) -> str:
        async with database.transaction() as session:
            known = [f"{row.kind}/{row.key}" for row in await stuck_work.stuck(session)]
            for name in names or known:
                kind, _, key = name.partition("/")
                if not await stuck_work.retry(session, kind, key):
                    raise CannotStart(
                        f"Nothing of the name {name} is stuck; `call2me wallet stuck` lists all."
                    )
            return f"{len(names or known)} are tried again within a minute."

    return in_database(settings, run)


def _who() -> str:
    try:
        return f"{getpass.getuser()} (command line)"
    except (KeyError, OSError):
        return "command line"
