"""The command line: `call2me …`. It starts the worker as a process and imports nothing of it.

Imports stand inside the commands: `--help` and `status` must answer at once.
"""

import os
import sys
from pathlib import Path

import click

from api.settings import Settings
from api.version import version
from pipelines.environment import SettingsError

EPILOG = """
\b
Everything is kept in one folder; CALL2ME_HOME moves it. Settings come from the
environment only, and docs/configuration.md lists them all. Exit codes: 0 done,
1 could not (one sentence says why), 2 wrong arguments.
"""


class _Commands(click.Group):
    """Commands in the order a person meets them, and settings' errors as sentences."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except SettingsError as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=_Commands, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version(), prog_name="call2me")
def main() -> None:
    """Voice agents on your own machine.

    `call2me up` is all you need: it starts every part, waits until a call could
    be answered and prints where to talk.
    """


@main.command()
def up() -> None:
    """Start everything and keep it running until Ctrl-C.

    Gets livekit-server if there is none, brings the database to the newest
    revision, makes an owner and a demo agent on the first start, and then runs
    livekit-server, the api and the worker: what dies is started again, each has
    a log file in $CALL2ME_HOME/logs, and the lines that matter are shown.
    Ctrl-C stops them in order within 10 s, a second Ctrl-C at once.
    """
    from api.up.run import up as run

    run(Settings.load())


@main.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def status(as_json: bool) -> None:
    """Show what runs, and whether a call could be answered.

    Processes, ports and versions; the exit code is 0 when a call could be answered, else 1.
    """
    from api.up.status import read
    from api.up.status_text import as_text

    found = read(Settings.load())
    if as_json:
        import json

        click.echo(json.dumps(found, indent=2))
    else:
        click.echo(as_text(found))
    sys.exit(0 if found["is_ready"] else 1)


@main.command()
def doctor() -> None:
    """Check every part, and say how to mend what is broken.

    Changes nothing. The exit code is 1 when something must be mended before a
    call can be answered.
    """
    from api.up.doctor import examine

    sys.exit(0 if examine(Settings.load()) else 1)


@main.command()
def serve() -> None:
    """Run the api alone, in the foreground.

    The database must be at the newest revision (`call2me migrate`); a worker
    and livekit-server are needed before it can answer a call.
    """
    from pipelines.processes import watch_life_pipe

    watch_life_pipe()
    import asyncio

    from api.serve import serve as run
    from api.up.errors import CannotStart
    from api.up.preflight import port_trouble, ports
    from api.up.revision import require_newest

    settings = Settings.load()
    asyncio.run(require_newest(settings))
    if (sentence := port_trouble(*ports(settings)[0])) is not None:
        raise CannotStart(sentence)
    run(settings)


@main.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def worker(arguments: tuple[str, ...]) -> None:
    """Run the worker alone, in the foreground.

    Becomes `python -m worker`. It answers the calls of the api at CALL2ME_API_URL, also from another
    machine. `call2me worker --help` lists its parts.
    """
    os.execv(sys.executable, [sys.executable, "-m", "worker", *arguments])  # noqa: S606 - no shell


@main.command()
def migrate() -> None:
    """Bring the database to the newest revision. Safe to repeat."""
    from api.up.prepare import migrate as run

    click.echo(f"The database is at revision {run(Settings.load())}.")


@main.group()
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


@main.command()
def newsletter() -> None:
    """Print who gets the newsletter, an address a line.

    Those who opened the link in their letter, and did not end it since.
    """
    from api.up.prepare import subscribers

    for address in subscribers(Settings.load()):
        click.echo(address)


@main.group()
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


@main.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def backup(file: Path) -> None:
    """Write everything into FILE, while it runs.

    The database as it is at one moment, recordings, knowledge, functions and
    secrets, as one tar with the sum of each file in it.
    """
    from api.up.backup import take

    click.echo(take(Settings.load(), file))


@main.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--replace", is_flag=True, help="Where there is data already: move it aside.")
def restore(file: Path, replace: bool) -> None:
    """Put FILE, a backup, back in place.

    Nothing may run. The whole backup is read and proved before anything is
    touched; afterwards the database is brought to this version and its book
    is checked.
    """
    from api.up.restore import put_back

    click.echo(put_back(Settings.load(), file, replaces=replace))


@main.group("secrets")
def secrets_() -> None:
    """The keys that seal secrets in the database."""


@secrets_.command("rotate")
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


@secrets_.command("key")
def fresh_key() -> None:
    """Print a new key for CALL2ME_ENCRYPTION_KEYS."""
    from api.secret_keys import fresh_encryption_key

    click.echo(fresh_encryption_key())


@main.group()
def functions() -> None:
    """Your Python functions: list, check and call them."""


_FOLDER = click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    help="Instead of the one that calls use (CALL2ME_FUNCTIONS).",
)


@functions.command("list")
@_FOLDER
def list_functions(folder: Path | None) -> None:
    """Show each function with its parameters and first line."""
    _functions("list", folder)


@functions.command("check")
@_FOLDER
def check_functions(folder: Path | None) -> None:
    """Say what does not load, and what a model would not understand.

    The exit code is 1 when there is something to mend.
    """
    _functions("check", folder)


@functions.command("call")
@_FOLDER
@click.argument("name")
@click.argument("arguments", default="{}")
def call_function(folder: Path | None, name: str, arguments: str) -> None:
    """Run one as a call would: ARGUMENTS are a JSON object.

    \b
    call2me functions call book_table '{"size": 2, "time": "19:30"}'
    """
    import json

    try:
        is_object = isinstance(json.loads(arguments), dict)
    except ValueError:
        is_object = False
    if not is_object:
        raise click.BadParameter("must be a JSON object, like '{\"size\": 2}'", param_hint="ARGUMENTS")
    _functions("call", folder, name, arguments)


def _functions(what: str, folder: Path | None, *more: str) -> None:
    place = str(folder or Settings.load().functions)
    command = [sys.executable, "-m", "pipelines.tools.command", what, place, *more]
    os.execv(sys.executable, command)  # noqa: S606 - no shell


@main.group()
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


@main.command()
def openapi() -> None:
    """Print the OpenAPI 3.1 document of the api."""
    from api.up.prepare import openapi as document

    click.echo(document())


@main.command(hidden=True)
def prepare() -> None:
    """What `up` runs before the api; prints credentials as JSON for it."""
    from api.up.first_start import to_json
    from api.up.prepare import prepare as run

    click.echo(to_json(run(Settings.load())))


if __name__ == "__main__":
    main(prog_name="call2me")
