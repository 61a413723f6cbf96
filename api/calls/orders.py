"""Orders to a running call: sent once, and answered, or known not to have been."""

from api.http.errors import Conflict, GatewayTimeout, Unavailable
from pipelines.contract.websocket import Obeyed

TIMEOUT_SECONDS = 5.0
"""For the call to do as it was told."""
ON_THE_WAY_SECONDS = 1.0


class OrderRefused(Conflict):
    """The call cannot do that"""


class NotReached(Unavailable):
    """The worker of this call cannot be reached now: try again in a moment"""


class NotAnswered(GatewayTimeout):
    """The worker of this call did not answer: it may or may not have done as it was told"""


def check(told: Obeyed) -> None:
    """Raises `OrderRefused` unless it was done."""
    if told.outcome == "not_here":
        raise OrderRefused("This call is over, or another process is just taking it up")
    if told.outcome != "done":
        raise OrderRefused(told.message)
