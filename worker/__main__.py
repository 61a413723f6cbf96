"""The worker's command line: `python -m worker`, `python -m worker agents`, `python -m worker models`."""

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import cast

from pipelines.environment import SettingsError
from pipelines.processes import watch_life_pipe
from worker import logs, places
from worker.settings import WorkerSettings

logger = logging.getLogger(__name__)

PARTS = {
    "supervisor": "worker.supervisor",
    "agents": "worker.image",
    "models": "worker.models",
    "exchange": "worker.exchange.process",
    "shard": "worker.exchange.shard",
    "text": "worker.text",
}
"""Each part's module has `serve(settings)`, which returns when the part was asked to stop (SIGTERM)."""

EPILOG = """\
settings come from the environment and from $CALL2ME_HOME/secrets.json, which the api makes on its first
start; docs/configuration.md lists them. exit codes: 0 asked to stop, 1 failed, 2 cannot start as configured.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one part of the worker until it is asked to stop; returns the exit code."""
    asked = _parser().parse_args(arguments)
    # Imports come later: only a part that is asked for is paid for (livekit alone costs five seconds).
    watch_life_pipe()
    try:
        settings = WorkerSettings.load()
    except SettingsError as error:
        print(f"worker: {error}", file=sys.stderr)  # noqa: T201 - a sentence for a person, before there are logs
        return 2
    logs.configure(settings.log_format, settings.log_level)
    if asked.part == "supervisor":  # once, and not for each of its parts
        for sentence in settings.misspelt:
            logger.warning("a variable is no setting", extra={"why": sentence})
    if asked.part in places.WITH_A_PLACE:
        number = getattr(asked, "number", 0)
        try:
            places.take(settings, f"{asked.part}-{number}" if number else asked.part)
        except SettingsError as error:
            logger.critical("cannot start", extra={"why": str(error)})
            return 2
    serve = cast("Callable[[WorkerSettings], None]", import_module(PARTS[asked.part]).serve)
    try:
        serve(settings)
    except KeyboardInterrupt:
        return 0
    except SettingsError as error:
        logger.critical("cannot start", extra={"why": str(error)})
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m worker",
        description="Answers calls. Without an argument: starts and supervises all that answering takes.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parts = parser.add_subparsers(
        dest="part", metavar="part", title="parts (the supervisor starts them itself)"
    )
    parts.add_parser(
        "supervisor",
        help="the default: starts agents and models, delivers what calls wrote down, speaks to the api",
    )
    parts.add_parser("agents", help="registers with livekit-server and gives each call a process")
    parts.add_parser("exchange", help="SIP: takes and places calls, and hands each to a shard")
    shard = parts.add_parser("shard", help="holds phone calls; the exchange hands them to it")
    shard.add_argument("--number", type=int, default=1, help="which of several (default: 1)")
    parts.add_parser("models", help="speech models of this machine, asked over $CALL2ME_HOME/run/models.sock")
    parts.add_parser(
        "text", help="answers chats; started by the api, which speaks to it over its standard input"
    )
    parser.set_defaults(part="supervisor")
    return parser


if __name__ == "__main__":
    sys.exit(main())
