"""Whether the developers' functions that an agent names are there, as far as workers have told."""

from collections.abc import Collection
from typing import Any

from api.http.errors import Invalid


def refuse_unknown(engine: Any, known: Collection[str] | None) -> None:
    """Raise `Invalid` for a Python function that no worker has; None accepts all: none ever told.

    Then an agent may be made before its worker was started for the first time; a call that does not find
    the function goes on without it, and says so in a warning.
    """
    if known is None:
        return
    for number, function in enumerate(getattr(engine, "functions", None) or ()):
        if function.get("type") == "python" and (name := function.get("name")) not in known:
            there = ", ".join(sorted(known)[:20]) or "none yet"
            raise Invalid.at(
                "body",
                "response_engine",
                "functions",
                number,
                "name",
                msg=f"No worker has a function {name}; there are: {there}. A file that was just added counts "
                "within seconds; `call2me functions check` says whether it loads.",
                input=name,
            )
