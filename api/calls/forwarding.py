"""A call that comes in where no agent is there, and is forwarded to a telephone number of its owner's choice.

rings ─► may it be called? ─► the exchange rings there ─► answered: in_progress, as one that was put through
              └─ 404, on record                 └─ busy · no_answer · the caller has hung up
"""

from datetime import datetime

from sqlmodel.ext.asyncio.session import AsyncSession

from api.calls import attempts, bridged, lifecycle, outbox
from api.calls.table import CallRow
from pipelines.contract.events import TransferTried

TARGET = "fallback"
"""What it is called among the call's transfers."""


def begin(call: CallRow, number: str) -> None:
    """No agent takes this call."""
    call.status, call.forwarded_to = "ringing", number


async def put_through(session: AsyncSession, call: CallRow, at: datetime) -> None:
    """Somebody has answered there. The same word again changes nothing."""
    if call.bridged_at is not None:
        return
    # Whoever watches over calls looks for the newest attempt's process: here it is the exchange.
    await attempts.take(session, call, call.worker_id or "", f"forward-{call.id}", 0)
    lifecycle.begin(call, at, call.worker_id)
    call.bridged_at = at
    await _tell(session, call, "", at)


async def failed(session: AsyncSession, call: CallRow, why_not: str, at: datetime) -> None:
    """Nobody was reached there."""
    await _tell(session, call, why_not or "Nobody answered there", at)


async def _tell(session: AsyncSession, call: CallRow, why_not: str, at: datetime) -> None:
    tried = TransferTried(
        call_id=call.id,
        attempt=call.attempt,
        sequence=bridged.sequence(at),
        at=at,
        target=TARGET,
        to=call.forwarded_to or "",
        mode="cold",
        outcome="failed" if why_not else "bridged",
        why_not=why_not[:200],
        duration_ms=max(0.0, (at - call.created_at).total_seconds() * 1000),
    )
    if await bridged.keep(session, tried):
        await outbox.happened(session, call, [tried], has_ended=False)
