"""The api while it buys a number, killed at one line: `python -m tests.support.buying_api [POINT]`."""

import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from api.outside.telnyx import Telnyx
from api.phone_numbers import buying, workflows
from api.serve import serve
from api.settings import Settings
from api.wallet import rents
from tests.support.dying_api import Function, after, at_commit_after, before

Points = dict[str, tuple[Any, str, Callable[[Function], Function]]]

POINTS: Points = {
    "written and held for, not queued": (workflows, "queue", before),
    "connection made, not noted": (Telnyx, "connect", after),
    "order sent, not noted": (Telnyx, "order", after),
    "order noted, step not": (buying, "note_placed", at_commit_after),
    "charged, not committed": (rents, "charge_first", after),
    "charged, step not noted": (buying, "finish", at_commit_after),
}
"""In the order in which a purchase comes by them."""
FAILING: Points = {"money given back, not committed": (rents, "let_go", after)}
RETURNING: Points = {
    "given up, not queued": (workflows, "queue_release", before),
    "carrier told, not noted": (Telnyx, "release", after),
}


def main(point: str) -> None:
    """Serve, until the point is reached."""
    workflows.OVERDUE_SECONDS = 1.0
    workflows.SETTLED_AFTER = timedelta(seconds=1)
    workflows.DELAYS = (0.2,) * 10
    if point:
        place, name, how = (POINTS | FAILING | RETURNING)[point]
        setattr(place, name, how(getattr(place, name)))
    serve(Settings.load())


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "")
