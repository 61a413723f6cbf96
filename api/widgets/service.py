"""Widgets: made, changed, found by a visitor, and the chats that visitors have through them."""

from datetime import timedelta
from typing import Any

from sqlalchemy import delete, func
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.agents import service as agents
from api.chats import answering
from api.chats import service as chats
from api.chats.table import ChatRow
from api.db.columns import new_id, now
from api.http.callers import Caller
from api.http.errors import Conflict, Forbidden, NotFound
from api.widgets.schemas import (
    SessionPage,
    VisitorMessage,
    WidgetCreate,
    WidgetFilter,
    WidgetUpdate,
)
from api.widgets.table import WidgetGreetingRow, WidgetRow

SOURCE = "widget"
MAX_WIDGETS = 1000
SAME_CHAT_HOURS = 24
"""A visitor who comes back later than this begins a new chat."""


class WidgetNotFound(NotFound):
    """Widget not found"""


class SlugTaken(Conflict):
    """This public_slug is taken; choose another"""


class TooManyWidgets(Conflict):
    """This account has as many widgets as an account may have"""


class OnlyVoice(Forbidden):
    """This widget talks by voice alone"""


class OnlyText(Forbidden):
    """This widget has no voice"""


async def create(session: AsyncSession, caller: Caller, wanted: WidgetCreate) -> WidgetRow:
    """A new widget for one of the caller's agents."""
    agent = await agents.get(session, caller, wanted.agent_id)
    counted = await session.exec(
        select(func.count()).select_from(WidgetRow).where(WidgetRow.owner_id == caller.owner_id)
    )
    if counted.one() >= MAX_WIDGETS:
        raise TooManyWidgets
    row = WidgetRow(owner_id=caller.owner_id, **_kept(wanted.model_dump()))
    row.name = row.name or agent.name
    await _keep(session, row)
    return row


async def every(session: AsyncSession, caller: Caller, wanted: WidgetFilter) -> list[WidgetRow]:
    """The owner's widgets, newest first."""
    query = select(WidgetRow).where(WidgetRow.owner_id == caller.owner_id)
    if wanted.agent_id is not None:
        query = query.where(WidgetRow.agent_id == wanted.agent_id)
    found = await session.exec(
        query.order_by(col(WidgetRow.created_at).desc(), col(WidgetRow.id))
        .limit(wanted.limit)
        .offset(wanted.offset)
    )
    return list(found.all())


async def get(session: AsyncSession, caller: Caller, widget_id: str, *, locks: bool = False) -> WidgetRow:
    """One of the owner's widgets."""
    query = select(WidgetRow).where(WidgetRow.id == widget_id, WidgetRow.owner_id == caller.owner_id)
    found = await session.exec(query.with_for_update() if locks else query)
    if (row := found.one_or_none()) is None:
        raise WidgetNotFound
    return row


async def change(session: AsyncSession, caller: Caller, widget_id: str, wanted: WidgetUpdate) -> WidgetRow:
    """Change what was sent."""
    row = await get(session, caller, widget_id, locks=True)
    changes = _kept(wanted.model_dump(exclude_unset=True))
    if wanted.agent_id is not None:
        await agents.get(session, caller, wanted.agent_id)
    if (changes.get("greeting_message", row.greeting_message), changes.get("language", row.language)) != (
        row.greeting_message,
        row.language,
    ):
        await session.exec(delete(WidgetGreetingRow).where(col(WidgetGreetingRow.widget_id) == row.id))
    for name, value in changes.items():
        setattr(row, name, value)
    row.updated_at = now()
    await _keep(session, row)
    return row


async def remove(session: AsyncSession, caller: Caller, widget_id: str) -> None:
    """Forget a widget; what was written through it stays among the chats."""
    row = await get(session, caller, widget_id)
    await session.exec(delete(WidgetRow).where(col(WidgetRow.id) == row.id))


async def shown(session: AsyncSession, widget_id: str) -> WidgetRow:
    """A widget that visitors may see; whose it is does not matter to them."""
    row = await session.get(WidgetRow, widget_id)
    if row is None or not row.active:
        raise WidgetNotFound
    return row


async def of_slug(session: AsyncSession, slug: str) -> WidgetRow:
    """The widget whose page this is."""
    found = await session.exec(
        select(WidgetRow).where(WidgetRow.public_slug == slug, col(WidgetRow.active).is_(True))
    )
    if (row := found.one_or_none()) is None:
        raise WidgetNotFound
    return row


def visiting(row: WidgetRow) -> Caller:
    """Whoever talks through a widget reaches its owner's agent, and its owner pays."""
    return Caller(owner_id=row.owner_id, user_id=row.owner_id, kind="visitor")


async def chat_of(
    session: AsyncSession, row: WidgetRow, visitor_id: str, wanted: VisitorMessage
) -> tuple[Caller, str]:
    """The chat that a visitor's message belongs to: the one they are in, else a new one."""
    caller = visiting(row)
    found = await session.exec(
        select(ChatRow.id)
        .where(
            ChatRow.widget_id == row.id,
            ChatRow.visitor_id == visitor_id,
            ChatRow.agent_id == row.agent_id,
            ChatRow.status == "active",
            ChatRow.message_count < answering.MAX_MESSAGES - 1,
            ChatRow.updated_at > now() - timedelta(hours=SAME_CHAT_HOURS),
        )
        .order_by(col(ChatRow.updated_at).desc())
        .limit(1)
    )
    if (chat_id := found.first()) is not None:
        return caller, chat_id
    agent = await agents.get(session, caller, row.agent_id)
    chat = ChatRow(
        owner_id=row.owner_id,
        agent_id=agent.id,
        agent_name=agent.name,
        source=SOURCE,
        widget_id=row.id,
        widget_name=row.name,
        visitor_id=visitor_id,
        visitor_name=wanted.visitor_name or None,
        extra={"username": wanted.visitor_name} if wanted.visitor_name else None,
        retention_days=agent.config.get("retention_days"),
    )
    session.add(chat)
    await session.flush()
    return caller, chat.id


async def sessions(
    session: AsyncSession, caller: Caller, widget_id: str, wanted: SessionPage
) -> tuple[list[ChatRow], int]:
    """The chats that were had through one of the owner's widgets, those written in last first."""
    row = await get(session, caller, widget_id)
    conditions = (ChatRow.owner_id == caller.owner_id, ChatRow.widget_id == row.id)
    total = (await session.exec(select(func.count()).select_from(ChatRow).where(*conditions))).one()
    found = await session.exec(
        select(ChatRow)
        .where(*conditions)
        .order_by(col(ChatRow.updated_at).desc(), col(ChatRow.id))
        .limit(wanted.limit)
        .offset(wanted.offset)
    )
    return list(found.all()), total


async def session_of(session: AsyncSession, caller: Caller, widget_id: str, chat_id: str) -> ChatRow:
    """One chat that was had through one of the owner's widgets."""
    row = await get(session, caller, widget_id)
    chat = await chats.get(session, caller, chat_id)
    if chat.widget_id != row.id:
        raise chats.ChatNotFound
    return chat


async def greeting(session: AsyncSession, widget_id: str) -> WidgetGreetingRow | None:
    """The greeting as it was last spoken."""
    return await session.get(WidgetGreetingRow, widget_id)


async def greeting_version(session: AsyncSession, widget_id: str) -> str | None:
    """Which greeting that is, without its sound."""
    found = await session.exec(
        select(WidgetGreetingRow.version).where(WidgetGreetingRow.widget_id == widget_id)
    )
    return found.one_or_none()


async def keep_greeting(session: AsyncSession, row: WidgetRow, mp3: bytes) -> WidgetGreetingRow:
    """Let this be the greeting, in place of the one before."""
    kept = await session.get(WidgetGreetingRow, row.id, with_for_update=True)
    if kept is None:
        kept = WidgetGreetingRow(widget_id=row.id, mp3=mp3, version="")
    kept.mp3, kept.version, kept.made_at = mp3, new_id("v", 8), now()
    session.add(kept)
    await session.flush()
    return kept


def _kept(fields: dict[str, Any]) -> dict[str, Any]:
    """What was asked for as it is stored: an empty slug or picture is none."""
    return {
        name: None if name in {"public_slug", "avatar_url"} and not value else value
        for name, value in fields.items()
    }


async def _keep(session: AsyncSession, row: WidgetRow) -> None:
    try:
        async with session.begin_nested():
            session.add(row)
            await session.flush()
    except IntegrityError as error:
        if "slug" not in str(error.orig):
            raise
        raise SlugTaken from None
