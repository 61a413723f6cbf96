"""What an owner's calls out, and texts, cost within a day, held against what the operator allows."""

from datetime import datetime, timedelta

from sqlmodel import col, func, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.calls.table import CallRow
from api.db.columns import now
from api.http.errors import TooManyRequests
from api.telephone_settings import Tolls
from api.wallet.charges import Tariff
from api.wallet.money import micros
from api.wallet.table import HoldRow, TransactionRow

DAY = timedelta(days=1)
_GOES_OUT = or_(col(CallRow.direction) == "outbound", col(CallRow.bridged_at).is_not(None))
"""Or came in, and was put through to somebody whom we rang."""


class SpentToday(TooManyRequests):
    """What may be spent on calls and texts within 24 hours is spent"""


async def check(session: AsyncSession, tolls: Tolls, owner_id: str) -> None:
    """Raise `SpentToday` where no further call may be placed for this owner now.

    A call that runs counts by what it cost so far, one that rings by nothing: so what is spent may go over
    the limit by what the calls that run then still cost.
    """
    if not tolls.daily_usd:
        return
    at = now()
    if await _charged(session, owner_id, at) + await _running(session, owner_id, at) >= micros(
        tolls.daily_usd
    ):
        raise SpentToday(headers={"Retry-After": "600"})


async def _charged(session: AsyncSession, owner_id: str, at: datetime) -> int:
    """A call that was deleted counts as one out: deleting makes no room."""
    found = await session.exec(
        select(func.sum(TransactionRow.amount_micros))
        .join(CallRow, col(CallRow.id) == col(TransactionRow.call_id), isouter=True)
        .where(
            TransactionRow.owner_id == owner_id,
            TransactionRow.type == "usage",
            col(TransactionRow.endpoint_type).in_(("voice", "sms")),
            col(TransactionRow.created_at) > at - DAY,
            or_(col(CallRow.id).is_(None), _GOES_OUT),
        )
    )
    return -int(found.one() or 0)


async def _running(session: AsyncSession, owner_id: str, at: datetime) -> int:
    found = await session.exec(
        select(HoldRow.tariff, CallRow.started_at)
        .join(CallRow, col(CallRow.id) == col(HoldRow.call_id))
        .where(HoldRow.owner_id == owner_id, _GOES_OUT)
    )
    return sum(
        Tariff.model_validate(tariff).price(max(0.0, (at - began).total_seconds())).total
        for tariff, began in found.all()
        if began is not None
    )
