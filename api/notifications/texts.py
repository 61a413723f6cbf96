"""Notifications as text messages: asked of whoever sends texts, who stands above (`api.work` says who)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from sqlmodel.ext.asyncio.session import AsyncSession


@dataclass(frozen=True)
class Ends:
    """Between which numbers a call or a chat was: the agent's, and the other one's."""

    ours: str | None = None
    theirs: str | None = None


NOWHERE = Ends()
"""Of a browser, a widget, or HTTP."""


@dataclass(frozen=True)
class Text:
    """What is to be sent. `from_number` is preferred where it sends texts.

    `is_to_caller`: to a number that a line told, which whoever calls can forge.
    """

    owner_id: str
    agent_id: str
    from_number: str | None
    to_number: str
    words: str
    is_to_caller: bool


@dataclass(frozen=True)
class Became:
    """What became of one."""

    outcome: Literal["asked", "sent", "failed"]
    why: str = ""


class Texts(Protocol):
    """Who sends them."""

    @property
    def has_carrier(self) -> bool:
        """Whether any can be sent here."""
        ...

    async def write(self, session: AsyncSession, text: Text) -> str:
        """Have it sent, once, when this transaction is committed; returns its id.

        What is too long is cut. Raises an `ApiError` before anything is written, where it may not be sent.
        """
        ...

    async def became(self, session: AsyncSession, ids: Sequence[str]) -> Mapping[str, Became]:
        """Of those that are still kept."""
        ...


_laid: Texts | None = None  # one for each process, as the engine is


def lay_down(texts: Texts) -> None:
    """Before anything is served."""
    global _laid  # noqa: PLW0603
    _laid = texts


def at_hand() -> Texts:
    """Who sends them here."""
    if _laid is None:
        raise RuntimeError("nobody was laid down who sends texts")
    return _laid
