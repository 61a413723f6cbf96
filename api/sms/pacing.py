"""How fast a number sends: 60 messages a minute; what is more waits for its turn in the durable queue.

asked for ─┬─ at once                                    60 of a minute
           ├─ a minute after the 60th in front of it     up to ten minutes
           └─ 429                                        who would wait for longer
An answer goes before what waits, since somebody waits for it, and what it keeps out goes a minute later.
"""

from datetime import datetime, timedelta
from typing import Any

from sqlmodel import col, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.db.columns import now
from api.http.errors import TooManyRequests
from api.phone_numbers.table import PhoneNumberRow
from api.sms.table import OUTBOUND, SmsRow

MOST_A_MINUTE = 60
"""Of one number: more of them look like spam to the networks."""
MINUTE = timedelta(minutes=1)
LONGEST_WAIT = timedelta(minutes=10)


class TooManyTexts(TooManyRequests):
    """This number sends 60 messages a minute, and ten minutes of them wait already"""


async def turn(session: AsyncSession, number: str, *, is_answer: bool = False) -> datetime:
    """When the next message of a number goes. The number stays locked, so that each has a turn of its own."""
    await _lock(session, number)
    at = now()
    # `due_at` says when one goes, or went.
    before = [or_(col(SmsRow.due_at) <= at, col(SmsRow.answers).is_not(None))] if is_answer else []
    return max(at, await _after_those(session, number, *before))


async def is_long(session: AsyncSession, number: str, *, is_answer: bool = False) -> bool:
    """Whether the next message would wait for so long that it had better not be written."""
    return await turn(session, number, is_answer=is_answer) - now() > LONGEST_WAIT


async def not_before(session: AsyncSession, row: SmsRow) -> datetime | None:
    """When a message goes whose turn it should be, where others were quicker; None where it goes now.

    Answers have gone before it, or all were late together.
    """
    await _lock(session, row.number)
    at = now()
    gone = (col(SmsRow.tries) > 0, col(SmsRow.due_at) <= at, col(SmsRow.id) != row.id)
    after = await _after_those(session, row.number, *gone)
    return after if after > at else None


async def _lock(session: AsyncSession, number: str) -> None:
    await session.exec(select(PhoneNumberRow.number).where(PhoneNumberRow.number == number).with_for_update())


async def _after_those(session: AsyncSession, number: str, *which: Any) -> datetime:
    """A minute after the last but 59 of these: long ago, where there are fewer."""
    found = await session.exec(
        select(SmsRow.due_at)
        .where(SmsRow.number == number, SmsRow.direction == OUTBOUND, *which)
        .order_by(col(SmsRow.due_at).desc())
        .offset(MOST_A_MINUTE - 1)
        .limit(1)
    )
    last = found.first()
    return now() - MINUTE if last is None else last + MINUTE
