"""The api with a phone line that only writes calls down, killed at one line: `python -m … POINT`.

Without a point it lives. What a real line adds comes after the commit, and is not looked at here.
"""

import sys
from collections.abc import Callable
from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession

from api.calls import service as calls
from api.calls.schemas import OutboundCall
from api.calls.table import CallRow
from api.campaigns import workflows as campaigns
from api.db.columns import now
from api.http.callers import Caller
from api.schedules import workflows as schedules
from api.serve import serve
from api.settings import Settings
from tests.support.dying_api import Function, after, at_commit_after, before

SCHEDULE_POINTS: dict[str, tuple[Any, str, Callable[[Function], Function]]] = {
    "schedule committed, not queued": (schedules, "queue", before),
    "call about to be placed": (calls, "dial", before),
    "call placed, not committed": (calls, "dial", after),
    "call committed, step not noted": (calls, "dial", at_commit_after),
    "next one not queued": (schedules, "queue", before),
}
"""In the order in which one due call comes by them."""
CAMPAIGN_POINTS: dict[str, tuple[Any, str, Callable[[Function], Function]]] = {
    "campaign committed, not queued": (campaigns, "queue", before),
    "campaign call about to be placed": (calls, "dial", before),
    "campaign call placed, not committed": (calls, "dial", after),
    "campaign call committed, not noted": (calls, "dial", at_commit_after),
    "shift over, next not queued": (campaigns, "queue", before),
}
OUTCOMES = {"1": "no_answer", "2": "busy", "3": "failed", "9": "in_progress"}
"""How a call to a number ends at once, by its last digit; what ends in 9 goes on."""


async def dial(session: AsyncSession, caller: Caller, wanted: OutboundCall) -> CallRow:
    """Write the call that a line would place."""
    status = OUTCOMES.get(wanted.to_number[-1], "completed")
    over = None if status == "in_progress" else now()
    row = CallRow(
        status=status,
        ended_at=over,
        settled_at=over,
        owner_id=caller.owner_id,
        agent_id=wanted.agent_id,
        direction="outbound",
        to_number=wanted.to_number,
        variables=wanted.dynamic_variables or {},
        extra=wanted.metadata,
    )
    session.add(row)
    await session.flush()
    return row


def main(point: str) -> None:
    """Serve, until the point is reached."""
    calls.dial = dial
    schedules.OVERDUE_SECONDS = campaigns.OVERDUE_SECONDS = 1.0
    campaigns.SHIFT_SECONDS = 3.0
    if point:
        place, name, how = (SCHEDULE_POINTS | CAMPAIGN_POINTS)[point]
        setattr(place, name, how(getattr(place, name)))
    serve(Settings.load())


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "")
