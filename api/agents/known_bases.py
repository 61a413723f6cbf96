"""Whether the knowledge bases that an agent names are its owner's."""

from collections.abc import Collection, Sequence
from typing import Protocol

from sqlmodel.ext.asyncio.session import AsyncSession

from api.http.errors import Invalid


class Bases(Protocol):
    """Asks which of these knowledge bases an owner has."""

    async def __call__(
        self, session: AsyncSession, owner_id: str, base_ids: Collection[str]
    ) -> Collection[str]:
        """Those of them that are the owner's."""


async def refuse_strange(
    session: AsyncSession, owner_id: str, named: Sequence[str] | None, bases: Bases
) -> None:
    """Raise `Invalid` for the first that is not there, or is somebody else's."""
    if not named:
        return
    had = await bases(session, owner_id, set(named))
    for number, base_id in enumerate(named):
        if base_id not in had:
            raise Invalid.at(
                "body",
                "knowledge_base_ids",
                number,
                msg="No knowledge base of yours",
                type="knowledge_base",
                input=base_id,
            )
