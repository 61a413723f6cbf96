"""Whether a call that no agent takes may be forwarded, where to, and for how long."""

from collections.abc import Sequence

from sqlmodel.ext.asyncio.session import AsyncSession

from api import telephone
from api.calls import billing, forwarding, phoning, tolls
from api.calls.table import CallRow
from api.http.errors import NotFound
from api.phone_numbers import service as numbers
from api.settings import Settings
from pipelines.agent_config import AgentConfig
from pipelines.contract.phones import PhoneForward

CIRCLE = (
    "It would go round in a circle: calls of this installation's own numbers, or to them, are not forwarded"
)


class NotForwarded(NotFound):
    """Nobody answers this number, and whoever would instead must not be called"""

    keeps_changes = True  # that somebody called, and why it went no further


async def allowed(
    session: AsyncSession, call: CallRow, diverted_by: Sequence[str], settings: Settings
) -> PhoneForward:
    """Whom the exchange is to ring, and for how long the two may talk, once that is held back.

    Raises `NotForwarded`, and `InsufficientBalance`.
    """
    number = call.forwarded_to or ""
    # Our own call has one of our numbers; a carrier that forwards it back to us may tell by whom.
    seen = [call.from_number or "", number, *(telephone.normal(one) or one for one in diverted_by)]
    try:
        if number == call.from_number or await numbers.has_any(session, seen):
            raise tolls.DestinationRefused(CIRCLE)
        onward = await phoning.onward(session, call.id, number)
    except tolls.DestinationRefused as error:
        await forwarding.failed(session, call, str(error), call.created_at)
        await phoning.over(session, call.id, "failed", f"error: {error}")
        raise NotForwarded from None
    nobody = AgentConfig(agent_id="", name="", enable_recording=False)
    longest = nobody.max_call_duration_ms // 1000
    seconds = await billing.reserve(session, call, nobody, longest, settings)
    return PhoneForward(**onward.model_dump(), seconds=seconds)
