"""Chats: begun, listed, changed; and messages, from the moment they arrive to their answer."""

from typing import Any

from sqlalchemy import exists, func
from sqlmodel import col, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.agents import service as agents
from api.chats.schemas import ChatChange, ChatCreate, ChatQuery
from api.chats.table import ChatFunctionRow, ChatMessageRow, ChatRow
from api.db.columns import now
from api.http.callers import Caller
from api.http.errors import NotFound
from api.notifications import service as notifications
from api.notifications.texts import NOWHERE, Ends


class ChatNotFound(NotFound):
    """Chat not found"""


async def create(session: AsyncSession, caller: Caller, wanted: ChatCreate) -> ChatRow:
    """A new chat with one of the caller's agents."""
    agent = await agents.get(session, caller, wanted.agent_id)
    row = ChatRow(
        owner_id=caller.owner_id,
        agent_id=agent.id,
        agent_name=agent.name,
        title=wanted.title,
        external_user_id=caller.external_user_id or wanted.external_user_id,
        extra=wanted.metadata,
        retention_days=agent.config.get("retention_days"),
    )
    session.add(row)
    await session.flush()
    return row


async def page(session: AsyncSession, caller: Caller, wanted: ChatQuery) -> tuple[list[ChatRow], int]:
    """The owner's chats, those written in last first, and how many there are."""
    conditions = _visible(caller)
    if wanted.status != "all":
        conditions.append(ChatRow.status == wanted.status)
    for name in ("agent_id", "source", "external_user_id"):
        if (value := getattr(wanted, name)) is not None:
            conditions.append(getattr(ChatRow, name) == value)
    if words := (wanted.search or "").strip():
        wrote = exists().where(
            col(ChatMessageRow.chat_id) == ChatRow.id,
            col(ChatMessageRow.content).icontains(words, autoescape=True),
        )
        titles = (col(name).icontains(words, autoescape=True) for name in (ChatRow.title, ChatRow.agent_name))
        conditions.append(or_(*titles, wrote))
    total = (await session.exec(select(func.count()).select_from(ChatRow).where(*conditions))).one()
    found = await session.exec(
        select(ChatRow)
        .where(*conditions)
        .order_by(col(ChatRow.updated_at).desc(), col(ChatRow.id))
        .limit(wanted.limit)
        .offset(wanted.offset)
    )
    return list(found.all()), total


async def get(session: AsyncSession, caller: Caller, chat_id: str, *, locks: bool = False) -> ChatRow:
    """One of the owner's chats; `locks` lets nobody else change it until the end of the transaction."""
    wanted = select(ChatRow).where(ChatRow.id == chat_id, *_visible(caller))
    found = await session.exec(wanted.with_for_update() if locks else wanted)
    if (row := found.one_or_none()) is None:
        raise ChatNotFound
    return row


def _visible(caller: Caller) -> list[Any]:
    """What a chat must be for this caller to see it: an end user sees their own."""
    conditions: list[Any] = [ChatRow.owner_id == caller.owner_id]
    if caller.end_user is not None:
        conditions.append(ChatRow.external_user_id == caller.external_user_id)
        if caller.end_user.agent_ids is not None:
            conditions.append(col(ChatRow.agent_id).in_(caller.end_user.agent_ids))
    return conditions


async def messages_of(session: AsyncSession, chat_id: str, newest: int | None = None) -> list[ChatMessageRow]:
    """What was written, in order: all of it, or the newest so many."""
    found = await session.exec(
        select(ChatMessageRow)
        .where(ChatMessageRow.chat_id == chat_id)
        .order_by(col(ChatMessageRow.number).desc())
        .limit(newest)
    )
    return list(reversed(found.all()))


async def functions_of(
    session: AsyncSession, chat_id: str, newest: int | None = None
) -> list[ChatFunctionRow]:
    """What ran, in order: all of it, or the newest so many."""
    found = await session.exec(
        select(ChatFunctionRow)
        .where(ChatFunctionRow.chat_id == chat_id)
        .order_by(col(ChatFunctionRow.started_at).desc(), col(ChatFunctionRow.id))
        .limit(newest)
    )
    return list(reversed(found.all()))


async def change(session: AsyncSession, caller: Caller, chat_id: str, wanted: ChatChange) -> ChatRow:
    """Name a chat, archive it, or bring it back."""
    row = await get(session, caller, chat_id, locks=True)
    if wanted.status == "archived" and row.status != "archived":
        await _tell_of_end(session, row)
    row.title = wanted.title or row.title
    row.status = wanted.status or row.status
    row.updated_at = now()
    session.add(row)
    return row


async def _tell_of_end(session: AsyncSession, row: ChatRow) -> None:
    extra = row.extra or {}
    # Of others these are what somebody said of themselves.
    is_texts = row.source == "sms"
    await notifications.notify(
        session,
        owner_id=row.owner_id,
        agent_id=row.agent_id,
        trigger="chat_ended",
        cause=row.id,
        facts={
            "chat_id": row.id,
            "agent_name": row.agent_name,
            "title": row.title,
            "message_count": row.message_count,
            "source": row.source,
            "external_user_id": row.external_user_id,
            **extra,
        },
        ends=Ends(extra.get("to_number"), row.external_user_id) if is_texts else NOWHERE,
    )
