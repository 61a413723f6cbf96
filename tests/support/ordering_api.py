"""The api, killed by itself around an order to call somebody: `python -m tests.support.ordering_api POINT`.

Without a point it lives. The worker that it orders is the test's.
"""

import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from api.calls import placing
from api.campaigns import dialling
from api.campaigns import workflows as campaigns
from api.internal import mailbox
from api.serve import serve
from api.settings import Settings
from tests.support.dying_api import Function, after, before, die


def after_dial(send: Function) -> Function:
    """Die once an order to call somebody has left."""

    async def dying(socket: Any, frame: str) -> None:
        await send(socket, frame)
        if '"kind":"dial"' in frame:
            die()

    return dying


POINTS: dict[str, tuple[Any, str, Callable[[Function], Function]]] = {
    "call committed, nobody set out to dial it": (placing, "_set_out", before),
    "who is ordered committed, not ordered": (placing, "_set_out", after),
    "withdrawn, not concluded": (placing, "_give_up", before),
    "ordered, not answered": (mailbox, "_send", after_dial),
    "answered, not noted": (placing, "_is_with", before),
}
"""In an order in which each leaves something for the one after it."""


def main(point: str) -> None:
    """Serve, until the point is reached; what takes minutes takes seconds."""
    placing.ANSWERED_WITHIN, placing.LINE_WITHIN = timedelta(seconds=1.5), timedelta(seconds=5)
    campaigns.OVERDUE_SECONDS = dialling.NO_LINE_SECONDS = 1.0
    campaigns.SHIFT_SECONDS = 3.0
    if point:
        place, name, how = POINTS[point]
        setattr(place, name, how(getattr(place, name)))
    serve(Settings.load())


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "")
