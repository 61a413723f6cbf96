"""What was done with a call after it was put through: its agent's process is gone, and the exchange tells."""

from datetime import datetime

from sqlmodel.ext.asyncio.session import AsyncSession

from api.calls.table import CallEventRow, CallRow
from api.db.columns import now
from api.db.inserts import insert_new
from pipelines.contract.events import Steered, TransferTried
from pipelines.contract.phones import PhoneTold


async def note(session: AsyncSession, call: CallRow, news: PhoneTold) -> None:
    """Write it down, once however often it is told."""
    if news.action is None:
        return
    told = news.at or now()
    at = min(
        told, now()
    )  # by the exchange's clock, which may be ahead of ours: told again it is the same event
    await keep(
        session,
        Steered(call_id=call.id, attempt=call.attempt, sequence=sequence(told), at=at, action=news.action),
    )


def sequence(at: datetime) -> int:
    """Of an event that no worker has told: after all that any attempt has told, or has still to deliver."""
    return round(at.timestamp() * 1_000_000)


async def keep(session: AsyncSession, event: Steered | TransferTried) -> bool:
    """Write an event down that no worker has told; False where it is there already."""
    row = CallEventRow(
        call_id=event.call_id,
        sequence=event.sequence,
        attempt=event.attempt,
        kind=event.kind,
        at=event.at,
        payload=event.model_dump(mode="json"),
    )
    return bool(await insert_new(session, CallEventRow, [row]))
