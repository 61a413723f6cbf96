"""Notifications that go out as texts, under all the rules that messages over HTTP have."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.db.columns import now
from api.http.callers import Caller
from api.http.errors import TooManyRequests
from api.notifications.texts import Became, Text
from api.phone_numbers import service as numbers
from api.phone_numbers.schemas import BOUGHT
from api.phone_numbers.table import PhoneNumberRow
from api.settings import Settings
from api.sms import segments, service
from api.sms.schemas import MOST_CHARACTERS, SmsCreate
from api.sms.table import DELIVERED, FAILED, OUTBOUND, SENT, UNCONFIRMED, SmsRow

MOST_TO_A_CALLER = 5
"""Within an hour: somebody who shows another's number must not have them flooded with texts."""


class TooManyToCaller(TooManyRequests):
    """this caller was sent 5 messages within an hour"""


@dataclass(frozen=True)
class Notices:
    """`api.notifications.texts.Texts`, by the carrier."""

    settings: Settings
    has_carrier: bool

    async def write(self, session: AsyncSession, text: Text) -> str:
        """From the number of the call, else from the only one that was bought."""
        if text.is_to_caller and await _sent_lately(session, text) >= MOST_TO_A_CALLER:
            raise TooManyToCaller
        wanted = SmsCreate.model_validate(
            {
                "from": await _sender(session, text),
                "to": text.to_number,
                "text": segments.shortened(text.words, MOST_CHARACTERS),
            }
        )
        caller = Caller(text.owner_id, text.owner_id, "user")
        try:
            row = await service.send(session, caller, wanted, self.settings, agent_id=text.agent_id)
        except service.NoSender:
            raise service.NoSender(
                "it was over no number that was bought here, and none, or more than one, was"
            ) from None
        return row.id

    async def became(self, session: AsyncSession, ids: Sequence[str]) -> Mapping[str, Became]:
        """Of the messages that are not forgotten yet."""
        found = await session.exec(
            select(SmsRow).where(col(SmsRow.id).in_(ids), SmsRow.direction == OUTBOUND)
        )
        return {row.id: _became(row) for row in found.all()}


def _became(row: SmsRow) -> Became:
    if row.status == FAILED:
        return Became("failed", row.why or "")
    # Without a name of the carrier's nobody knows whether it was taken: that is neither sent nor failed.
    is_taken = row.status in {SENT, DELIVERED} or (row.status == UNCONFIRMED and row.carrier_id is not None)
    return Became("sent" if is_taken else "asked", row.why or "")


async def _sender(session: AsyncSession, text: Text) -> str | None:
    """None where the call's own number sends no texts."""
    found = await session.exec(
        select(PhoneNumberRow.number).where(
            PhoneNumberRow.number == numbers.spelled(text.from_number or ""),
            PhoneNumberRow.owner_id == text.owner_id,
            PhoneNumberRow.provider == BOUGHT,
            numbers.is_usable(),
        )
    )
    return found.one_or_none()


async def _sent_lately(session: AsyncSession, text: Text) -> int:
    """How many messages of any of the owner's numbers went there within the last hour, unasked."""
    asked = select(func.count()).where(
        SmsRow.owner_id == text.owner_id,
        SmsRow.peer == text.to_number,
        SmsRow.direction == OUTBOUND,
        col(SmsRow.answers).is_(None),
        col(SmsRow.created_at) > now() - timedelta(hours=1),
    )
    return (await session.exec(asked)).one()
