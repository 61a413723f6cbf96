"""Agents that hand a call to each other in a circle would never let a caller go."""

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.agents.config import targets_of
from api.agents.schemas import AgentSettings
from api.agents.table import AgentRow
from api.http.errors import Invalid

MAX_AGENTS = 200
"""Longer chains are not followed; a call counts its handovers besides."""


async def refuse(session: AsyncSession, row: AgentRow, asked: AgentSettings) -> None:
    """Raise `Invalid` where a call of this agent could come back to it by transfers alone."""
    seen: set[str] = set()
    ahead = targets_of(asked)
    while ahead and len(seen) < MAX_AGENTS:
        if row.id in ahead:
            raise Invalid.at(
                "body",
                "transfer_targets",
                msg="These agents transfer in a circle, back to this one.",
                input=[target.model_dump() for target in asked.transfer_targets or ()],
            )
        seen |= ahead
        found = await session.exec(
            select(AgentRow.config).where(AgentRow.owner_id == row.owner_id, col(AgentRow.id).in_(ahead))
        )
        ahead = {
            target for config in found.all() for target in targets_of(AgentSettings.model_validate(config))
        } - seen
