"""Commands with commands below them: `call2me db|user|wallet|secrets|livekit|telnyx …`.

Imports stand inside the commands, as in `api.cli`.
"""

import sys

import click

from api.settings import Settings


@click.group()
def db() -> None:
    """The database's tables: newer, older, as they should be."""


@db.command("status")
def database_status() -> None:
    """Say at which revision the database is.

    And whether its tables are what this version needs. Changes nothing; the exit code is 1 when they are not.
    """
    from api.tables import load
    from api.up.database import status

    is_good, sentence = status(Settings.load(), load())
    click.echo(sentence)
    sys.exit(0 if is_good else 1)


@db.command("upgrade")
def upgrade_database() -> None:
    """Bring the database to the newest revision. Safe to repeat.

    The same as `call2me migrate`; `call2me up` does it by itself.
    """
    from api.up.prepare import migrate

    click.echo(f"The database is at revision {migrate(Settings.load())}.")


@db.command("downgrade")
@click.argument("revision")
@click.option("--lose-data", is_flag=True, help="Also where rows are lost with it.")
def downgrade_database(revision: str, lose_data: bool) -> None:
    """Take the database back to an older REVISION.

    For going back to an older version of call2me: stop everything, run this with
    the newer version, then install the older one. All of it happens or nothing.
    Where a table or a column that goes has something in it, it is named and
    nothing is changed, unless you say --lose-data. `base` is no tables at all.
    """
    from api.up.database import downgrade

    click.echo(downgrade(Settings.load(), revision, loses_data=lose_data))


@click.group()
def user() -> None:
    """Who may sign in."""


@user.command("add")
@click.argument("email")
@click.option("--name", default=None, help="Full name.")
@click.option(
    "--password",
    prompt="Password (empty for a generated one)",
    default="",
    hide_input=True,
    show_default=False,
    help="Asked for when absent; generated when empty.",
)
def add_user(email: str, name: str | None, password: str) -> None:
    """Add a user, also where signing up is closed."""
    from api.up.prepare import add_user as run

    added = run(Settings.load(), email, name, password or None)
    click.echo(f"Added {email}.")
    if added:
        click.echo(f"Password: {added}")
        click.echo("It is shown only now.")


@user.command("link")
@click.argument("email", required=False)
def sign_in_link(email: str | None) -> None:
    """Print a link that signs in once, within the hour.

    It signs in the owner when no EMAIL is given.
    """
    from api.up.prepare import link

    click.echo(link(Settings.load(), email))


@user.command("limit")
@click.argument("email")
@click.argument("requests_a_minute", type=click.IntRange(0, 1_000_000))
def limit_user(email: str, requests_a_minute: int) -> None:
    """Let EMAIL ask so many times a minute.

    Over all their logins and keys together.

    0 lets them have what everybody has (CALL2ME_USER_RATE_LIMIT).
    """
    from api.up.prepare import limit

    limit(Settings.load(), email, requests_a_minute)
    number = str(requests_a_minute) if requests_a_minute else "as many as everybody"
    click.echo(f"Requests a minute of {email}: {number}.")


@click.group()
def wallet() -> None:
    """Owners' money: give credit, check the books."""


@wallet.command("credit")
@click.argument("email")
@click.argument("amount", type=str)
@click.option("--note", required=True, help="Why: it stays in the book, and the owner reads it.")
def credit_wallet(email: str, amount: str, note: str) -> None:
    """Give AMOUNT US dollars to the wallet of EMAIL.

    Who did it, when and why is kept in the book for ever; the owner sees it
    among their transactions.
    """
    from api.up.money import credit

    click.echo(credit(Settings.load(), email, amount, note))


@wallet.command("check")
def check_wallets() -> None:
    """Prove the book: entries add up to nothing, and to balances.

    Reads all of it. The exit code is 1 when something is wrong.
    """
    from api.up.money import check

    wrong = check(Settings.load())
    click.echo("\n".join(wrong) or "The book is right.")
    sys.exit(1 if wrong else 0)


@wallet.command("stuck")
def show_stuck() -> None:
    """List what failed: rents, refunds, paid numbers.

    Most of it is tried again by itself. What is GIVEN UP waits for
    `call2me wallet retry`; the exit code is 1 where there is any.
    """
    from api.up.money import stuck

    lines = stuck(Settings.load())
    click.echo("\n".join(lines) or "Nothing is stuck.")
    sys.exit(any("GIVEN UP" in line for line in lines))


@wallet.command("retry")
@click.argument("names", nargs=-1)
@click.option("--all", "is_all", is_flag=True, help="All that is stuck.")
def retry_stuck(names: tuple[str, ...], *, is_all: bool) -> None:
    """Try again what is stuck, once its cause is mended.

    NAMES are as `call2me wallet stuck` has them.
    """
    from api.up.money import retry

    if is_all == bool(names):
        raise click.UsageError("Give NAMES, or --all.")
    click.echo(retry(Settings.load(), names))


@click.group()
def secrets() -> None:
    """The keys that seal secrets in the database."""


@secrets.command("rotate")
@click.option("--forget-old", is_flag=True, help="Keep the newest key only; backups need the old ones.")
def rotate_secrets(forget_old: bool) -> None:
    """Seal every secret in the database with a new key.

    The new key is put in front of the others in secrets.json, and processes
    that run find it there. Keys from CALL2ME_ENCRYPTION_KEYS are not changed:
    put a new one in front yourself, then run this. The old keys stay, for
    backups and for processes that still seal with them; once all were
    restarted, --forget-old removes them, after sealing what they still hold.
    """
    from api.tables import load
    from api.up.sealing import rotate

    click.echo(rotate(Settings.load(), load(), forget_old=forget_old))


@secrets.command("key")
def fresh_key() -> None:
    """Print a new key for CALL2ME_ENCRYPTION_KEYS."""
    from api.secret_keys import fresh_encryption_key

    click.echo(fresh_encryption_key())


@click.group()
def livekit() -> None:
    """The LiveKit server that carries the sound."""


@livekit.command("install")
def install_livekit() -> None:
    """Get livekit-server if there is none, and print its path.

    Looks on PATH and in $CALL2ME_HOME/bin, then builds it where Go is
    installed (about 3 minutes), else downloads the official release and checks it.
    """
    from api.up.livekit_server import get

    found = get(Settings.load(), lambda text: click.echo(text, err=True))
    click.echo(found.path)


@livekit.command("path")
def livekit_path() -> None:
    """Print which livekit-server would be used.

    The exit code is 1 when there is none.
    """
    from api.up.livekit_server import find

    if (found := find(Settings.load())) is None:
        raise click.ClickException("livekit-server is missing; `call2me livekit install` gets it.")
    click.echo(found.path)


@click.group()
def telnyx() -> None:
    """The carrier that sells numbers."""


@telnyx.command("check")
def check_telnyx() -> None:
    """Ask the real Telnyx whether numbers could be bought.

    With the real key; buys and changes nothing. The exit code is 1 when something is wrong.
    """
    from api.up.carrier import check

    is_sound = True
    for is_good, words in check(Settings.load()):
        click.echo(f"{'ok' if is_good else 'BROKEN':<7} {words}")
        is_sound = is_sound and is_good
    sys.exit(0 if is_sound else 1)
