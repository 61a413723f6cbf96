"""A message that came in, and the agent's answer: in one chat for each pair of numbers, one after the other.

received ──► its turn? ──► in the chat ──► thought of ──► answer written down, to be sent ──► the next one
                              └─ known already, where a process died behind it ─┘
"""

from dataclasses import dataclass

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.agents import service as agents
from api.chats import answering as chat_answering
from api.chats.answering import Asked
from api.chats.schemas import MessageCreate
from api.chats.table import ChatMessageRow, ChatRow
from api.contacts import service as contacts
from api.db.columns import now
from api.http.callers import Caller
from api.http.errors import TooManyRequests
from api.phone_numbers import service as numbers
from api.phone_numbers.schemas import BOUGHT
from api.phone_numbers.table import PhoneNumberRow
from api.settings import Settings
from api.sms import pacing, segments, service
from api.sms.schemas import MOST_CHARACTERS
from api.sms.table import FAILED, INBOUND, OUTBOUND, SmsRow, SmsThreadRow

MOST_TOLD = 10
"""Of messages that were sent over HTTP since somebody wrote last."""


class TooManyAnswers(TooManyRequests):
    """Somebody was answered 40 times within an hour: perhaps another machine"""


class NobodyAnswers(Exception):
    """No agent answers this number any more"""


@dataclass(frozen=True)
class Known:
    """The answer was thought of already."""

    words: str


@dataclass(frozen=True)
class Busy:
    """The number sends as much as it may, for now."""


async def begin(
    session: AsyncSession, sms_id: str, number: int, settings: Settings
) -> Asked | Known | Busy | None:
    """Take a message up, where it is its turn; None where there is nothing to be done.

    Raises what the chat, the wallet and the rules for messages out do, `NobodyAnswers` and `TooManyAnswers`.
    """
    row = await session.get(SmsRow, sms_id, with_for_update=True)
    if row is None or not row.is_open or row.direction != INBOUND:
        return None
    key = (row.owner_id, row.number, row.peer)
    thread = await session.get(SmsThreadRow, key, with_for_update=True)
    following = await next_of(session, row)
    if thread is None or following is None or following[0] != row.id:
        return None  # whoever is before it starts it
    row.tries, row.due_at = max(row.tries, number), now()
    session.add(row)
    if row.message_id is not None:
        told = await session.exec(select(ChatMessageRow).where(ChatMessageRow.answers == row.message_id))
        if (answer := told.one_or_none()) is not None:
            return Known(answer.content)
    await service.refuse(session, row.owner_id, row.peer, settings.tolls)
    if await service.sent_lately(session, row.number, row.peer) >= service.MOST_AN_HOUR:
        raise TooManyAnswers
    if await pacing.is_long(session, row.number, is_answer=True):
        return Busy()
    asked = MessageCreate(content=row.text)
    caller = Caller(row.owner_id, row.owner_id, "user")
    chat = await _chat(session, row, thread, caller)
    if row.message_id is None:
        await _add_what_was_sent(session, row, chat)
    begun = await chat_answering.begin(session, caller, chat.id, asked, settings)
    row.message_id, row.chat_id, row.agent_id = begun.message_id, chat.id, chat.agent_id
    session.add(row)
    return begun


async def _chat(session: AsyncSession, row: SmsRow, thread: SmsThreadRow, caller: Caller) -> ChatRow:
    """The chat of these two; a new one where it is full, put away, or another agent's."""
    number = await number_of(session, row)
    if number is None or number.agent_id is None:
        raise NobodyAnswers
    chat = await session.get(ChatRow, thread.chat_id) if thread.chat_id is not None else None
    room = chat_answering.MAX_MESSAGES - 2 - MOST_TOLD
    if (
        chat is not None
        and chat.status == "active"
        and chat.agent_id == number.agent_id
        and chat.message_count <= room
    ):
        return chat
    agent = await agents.get(session, caller, number.agent_id)
    contact = await contacts.of_number(session, row.owner_id, row.peer)
    known = contacts.variables_of(contact) if contact is not None else {}
    chat = ChatRow(
        owner_id=row.owner_id,
        agent_id=agent.id,
        agent_name=agent.name,
        source="sms",
        external_user_id=row.peer,
        visitor_name=contact.name or None if contact is not None else None,
        extra={**known, "channel": "sms", "from_number": row.peer, "to_number": row.number},
        retention_days=agent.config.get("retention_days"),
    )
    session.add(chat)
    await session.flush()
    thread.chat_id = chat.id
    session.add(thread)
    return chat


async def _add_what_was_sent(session: AsyncSession, row: SmsRow, chat: ChatRow) -> None:
    """What was sent over HTTP before this came: perhaps it is what is answered."""
    await session.refresh(chat, with_for_update=True)
    found = await session.exec(
        select(SmsRow)
        .where(
            SmsRow.number == row.number,
            SmsRow.peer == row.peer,
            SmsRow.owner_id == row.owner_id,
            SmsRow.direction == OUTBOUND,
            SmsRow.status != FAILED,
            col(SmsRow.chat_id).is_(None),
            col(SmsRow.answers).is_(None),
        )
        .order_by(col(SmsRow.created_at).desc(), col(SmsRow.id))
        .limit(MOST_TOLD)
    )
    for sent in reversed(found.all()):
        chat.message_count += 1
        sent.chat_id = chat.id
        told = ChatMessageRow(
            chat_id=chat.id,
            number=chat.message_count,
            role="assistant",
            content=sent.text,
            status="complete",
            created_at=sent.created_at,
        )
        session.add_all([sent, told])
    session.add(chat)
    await session.flush()


async def number_of(session: AsyncSession, row: SmsRow) -> PhoneNumberRow | None:
    """The number of a message, while it is its owner's and works."""
    found = await session.exec(
        select(PhoneNumberRow).where(
            PhoneNumberRow.number == row.number,
            PhoneNumberRow.owner_id == row.owner_id,
            PhoneNumberRow.provider == BOUGHT,
            numbers.is_usable(),
        )
    )
    return found.one_or_none()


async def next_of(session: AsyncSession, row: SmsRow) -> tuple[str, int] | None:
    """Of the messages of the same two, the one that is to be answered next, and how often it was tried."""
    found = await session.exec(
        select(SmsRow.id, SmsRow.tries)
        .where(
            SmsRow.number == row.number,
            SmsRow.peer == row.peer,
            SmsRow.owner_id == row.owner_id,
            SmsRow.direction == INBOUND,
            col(SmsRow.is_open),
        )
        .order_by(col(SmsRow.created_at), col(SmsRow.id))
        .limit(1)
    )
    first = found.one_or_none()
    return None if first is None else (first[0], first[1])


async def finish(session: AsyncSession, sms_id: str, words: str, settings: Settings) -> None:
    """Write the answer down, to be sent, once. Raises `InsufficientBalance` and `NobodyAnswers`."""
    row = await session.get(SmsRow, sms_id, with_for_update=True)
    if row is None or not row.is_open:
        return
    number = await number_of(session, row)
    if number is None:
        raise NobodyAnswers
    row.is_open, row.updated_at = False, now()
    session.add(row)
    await session.flush()
    if answer := segments.shortened(words, MOST_CHARACTERS):
        await service.write(session, settings, number, row.peer, answer, answered=row)
