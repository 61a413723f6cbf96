"""Commands for developers' Python functions: `call2me functions …`.

Imports stand inside the commands, as in `api.cli`.
"""

import os
import sys
from pathlib import Path

import click

from api.settings import Settings


@click.group()
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
