"""Phones: who places calls at carriers, and goes on with them when a process died."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from pipelines.contract.websocket import Dial

NO_LINE = "no phone line"
"""With a colon and the reason behind it, where that is known."""


class PhonesUnavailable(Exception):
    """No exchange could place a call now"""


class NeverSent(PhonesUnavailable):
    """The order did not leave, and will not: somebody else may be asked"""


class Unanswered(PhonesUnavailable):
    """Nothing was heard of an order"""


class Unsure(PhonesUnavailable):
    """Nobody will ever know whether they were called"""


@dataclass(frozen=True)
class Dialler:
    """Who could place a call now, and the journal that it would be written down in."""

    name: str
    journal: str = ""


class Phones(Protocol):
    """Exchanges that could place a call: our own in each worker, or another daemon behind the same words."""

    async def phones_why_not(self) -> str:
        """Why no call could be placed now; empty when one could."""

    async def trunks(self) -> dict[str, str]:
        """Of trunks that are kept registered: why each is not now, empty when it is. No others."""

    async def diallers(self) -> Sequence[Dialler]:
        """Those who could place a call now, the best first."""

    async def dial(self, dialler: Dialler, order: Dial) -> None:
        """Have a call placed. Sent once, for nobody knows what came of a lost order.

        Raises `NeverSent`, `Unanswered`; any other `PhonesUnavailable` is a refusal: nobody was called.
        """

    async def withdraw(self, dialler: Dialler, call_id: str) -> bool:
        """See to it that nobody is called for an order that was not answered. Asked again it does no harm.

        False: it is too late, somebody may have been called, and how that ends will be told.
        Raises `Unanswered` where it may be known later, `Unsure` where it never will be.
        """

    async def take_up(self, worker_id: str | None, call_id: str, attempt: int) -> None:
        """Have another process go on with a call of this worker. Raises `PhonesUnavailable`."""


class NoPhones:
    """Where nobody can place a call."""

    async def phones_why_not(self) -> str:
        """There never is one."""
        return NO_LINE

    async def trunks(self) -> dict[str, str]:
        """Nobody registers any."""
        return {}

    async def diallers(self) -> Sequence[Dialler]:
        """There are none."""
        return ()

    async def dial(self, dialler: Dialler, order: Dial) -> None:
        """Nobody does."""
        raise PhonesUnavailable(NO_LINE)

    async def withdraw(self, dialler: Dialler, call_id: str) -> bool:
        """Whoever had it may be here again."""
        raise Unanswered

    async def take_up(self, worker_id: str | None, call_id: str, attempt: int) -> None:
        """Nobody does."""
        raise PhonesUnavailable(NO_LINE)
