"""Phones: who places calls at carriers, and goes on with them when a process died."""

from typing import Protocol

from pipelines.contract.websocket import Dial

NO_LINE = "no phone line"
"""With a colon and the reason behind it, where that is known."""


class PhonesUnavailable(Exception):
    """No exchange could place a call now"""


class Unsure(PhonesUnavailable):
    """The worker did not answer: the call may or may not have been dialled"""


class Phones(Protocol):
    """Exchanges that could place a call: our own in each worker, or another daemon behind the same words."""

    async def phones_why_not(self) -> str:
        """Why no call could be placed now; empty when one could."""

    async def trunks(self) -> dict[str, str]:
        """Of trunks that are kept registered: why each is not now, empty when it is. No others."""

    async def dial(self, order: Dial) -> str:
        """Have a call placed; the worker that does. Sent once, for nobody knows what came of a lost order.

        Raises `PhonesUnavailable` with a sentence; `Unsure` where it may have been dialled all the same.
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

    async def dial(self, order: Dial) -> str:
        """Nobody does."""
        raise PhonesUnavailable(NO_LINE)

    async def take_up(self, worker_id: str | None, call_id: str, attempt: int) -> None:
        """Nobody does."""
        raise PhonesUnavailable(NO_LINE)
