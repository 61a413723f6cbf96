"""`call2me doctor`: every part of this machine, and how to mend what is broken."""

from collections.abc import Callable

import click

from api.settings import Settings
from api.up.examinations import ALL, Examination, Finding

_MARKS = {"ok": ("ok", "green"), "note": ("note", "yellow"), "broken": ("BROKEN", "red")}


def examine(settings: Settings, write: Callable[[str], None] = click.echo) -> bool:
    """Print a line for each part and return whether nothing is broken."""
    is_sound = True
    for examination in ALL:
        for finding in _found(examination, settings):
            mark, colour = _MARKS[finding.verdict]
            write(f"{click.style(f'{mark:<7}', fg=colour)} {finding.part:<12} {finding.what}")
            if finding.mend:
                write(f"{'':<20} → {finding.mend}")
            is_sound = is_sound and finding.verdict != "broken"
    write(
        "\nEverything that a call needs is there." if is_sound else "\nMend what is BROKEN, then ask again."
    )
    return is_sound


def _found(examination: Examination, settings: Settings) -> list[Finding]:
    name = examination.__name__.replace("_", " ")
    try:
        return list(examination(settings))
    except Exception as error:  # noqa: BLE001 - a doctor does not die of what it finds
        return [Finding(name, "broken", f"could not be examined ({type(error).__name__}: {error})")]
