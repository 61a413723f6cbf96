"""What was done with a call after it was put through: its agent's process is gone, and the exchange tells."""

from sqlmodel.ext.asyncio.session import AsyncSession

from api.calls.table import CallEventRow, CallRow
from api.db.columns import now
from api.db.inserts import insert_new
from pipelines.contract.events import Steered
from pipelines.contract.phones import PhoneTold


async def note(session: AsyncSession, call: CallRow, news: PhoneTold) -> None:
    """Write it down, once however often it is told.

    Its sequence is the microsecond: after all that any attempt has told, or has still to deliver.
    """
    if news.action is None:
        return
    at = min(news.at or now(), now())
    sequence = round(at.timestamp() * 1_000_000)
    event = Steered(call_id=call.id, attempt=call.attempt, sequence=sequence, at=at, action=news.action)
    row = CallEventRow(
        call_id=call.id,
        sequence=sequence,
        attempt=call.attempt,
        kind=event.kind,
        at=at,
        payload=event.model_dump(mode="json"),
    )
    await insert_new(session, CallEventRow, [row])
