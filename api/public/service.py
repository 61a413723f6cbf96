"""Which numbers strangers may have called; and figures for everybody."""

import phonenumbers
from sqlalchemy import func
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.calls.table import CallRow, CallUsageRow
from api.http.errors import Invalid
from api.public.schemas import Stats
from api.users.table import UserRow

HOME_REGION = "US"
"""How a number without a country code is read."""


def require_callable(phone_number: str) -> str:
    """The number as E.164; raises for what is not one, and for numbers that cost more than a call."""
    costly = {phonenumbers.PhoneNumberType.PREMIUM_RATE, phonenumbers.PhoneNumberType.SHARED_COST}
    try:
        number = phonenumbers.parse(phone_number, HOME_REGION)
    except phonenumbers.NumberParseException:
        number = None
    if (
        number is None
        or not phonenumbers.is_valid_number(number)
        or phonenumbers.number_type(number) in costly
    ):
        raise Invalid.at(
            "body", "phone_number", msg="Not a telephone number that can be called", type="phone_number"
        )
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


async def stats(session: AsyncSession) -> Stats:
    """How much this installation was used."""
    calls = await session.exec(
        select(func.count()).select_from(CallRow).where(col(CallRow.started_at).is_not(None))
    )
    milliseconds = await session.exec(select(func.sum(CallUsageRow.duration_ms)))
    accounts = await session.exec(select(func.count()).select_from(UserRow))
    return Stats(calls=calls.one(), minutes=int(milliseconds.one() or 0) // 60_000, accounts=accounts.one())
