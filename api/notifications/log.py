"""What became of notifications: their letters and texts say it."""

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.durable.table import LetterRow
from api.notifications import texts
from api.notifications.schemas import Notification
from api.notifications.table import NotificationRow
from api.notifications.texts import Became


async def of_cause(session: AsyncSession, owner_id: str, cause: str) -> list[Notification]:
    """What became of the notifications of a call or a chat, oldest first."""
    found = await session.exec(
        select(NotificationRow)
        .where(NotificationRow.cause == cause, NotificationRow.owner_id == owner_id)
        .order_by(col(NotificationRow.created_at), col(NotificationRow.target_id))
        .limit(500)
    )
    rows = found.all()
    ids = [row.letter_id(number) for row in rows for number in range(row.letters)]
    written = await session.exec(select(LetterRow).where(col(LetterRow.id).in_(ids)))
    by_id = {letter.id: letter for letter in written.all()}
    sms_ids = [row.sms_id for row in rows if row.sms_id is not None]
    told_of = await texts.at_hand().became(session, sms_ids) if sms_ids else {}
    return [
        _became(
            row,
            [by_id[id_] for n in range(row.letters) if (id_ := row.letter_id(n)) in by_id],
            told_of.get(row.sms_id or ""),
        )
        for row in rows
    ]


def _became(row: NotificationRow, written: list[LetterRow], text: Became | None) -> Notification:
    outcome, detail = row.outcome, row.detail
    if text is not None:
        outcome, detail = text.outcome, text.why
    elif row.sms_id is not None:
        detail = "what became of it is forgotten, with its text"
    elif written and all(letter.was_sent for letter in written):
        outcome = "sent"
    elif any(letter.ended_at and not letter.was_sent for letter in written):
        outcome, detail = "failed", "the mail server did not take it"
    return Notification.model_validate(
        {
            "target_id": row.target_id,
            "channel": row.channel,
            "outcome": outcome,
            "detail": detail,
            "created_at": row.created_at,
        }
    )
