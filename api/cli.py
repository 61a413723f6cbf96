"""The command line: `call2me …`. It starts the worker as a process and imports nothing of it.

Imports stand inside the commands: `--help` and `status` must answer at once.
"""

import os
import sys
from pathlib import Path

import click

from api import command_groups, function_commands
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
    Ctrl-C stops them in order: running calls get CALL2ME_DRAIN_SECONDS, and 10 s
    are enough where that is not set. A second Ctrl-C stops at once.
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


main.add_command(command_groups.db)
main.add_command(command_groups.user)


@main.command()
def newsletter() -> None:
    """Print who gets the newsletter, an address a line.

    Those who opened the link in their letter, and did not end it since.
    """
    from api.up.prepare import subscribers

    for address in subscribers(Settings.load()):
        click.echo(address)


main.add_command(command_groups.wallet)


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


main.add_command(command_groups.secrets)
main.add_command(function_commands.functions)
main.add_command(command_groups.livekit)
main.add_command(command_groups.telnyx)


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
