"""Agents: made, changed, copied, and handed down to a call."""

from collections.abc import Callable, Collection
from dataclasses import fields

from pydantic import ValidationError
from sqlalchemy import bindparam, delete
from sqlalchemy import select as plain_select
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.agents import circles, secrets
from api.agents.config import settings_of as settings_of  # noqa: PLC0414 - other resources find
from api.agents.config import to_config as to_config  # noqa: PLC0414 - both here
from api.agents.known_functions import refuse_unknown
from api.agents.schemas import Agent, AgentCreate, AgentSettings, AgentUpdate
from api.agents.table import AgentRow, SeenAgent
from api.db.columns import now
from api.db.engine import Database
from api.db.lookups import Lookup
from api.http.callers import Caller
from api.http.errors import Invalid, NotFound
from api.http.pages import Page

COPY_SUFFIX = " (Copy)"
MAX_CARDS = 1000
_SEEN = Lookup(
    SeenAgent,
    plain_select(*(col(getattr(AgentRow, field.name)) for field in fields(SeenAgent))).where(
        col(AgentRow.id) == bindparam("agent_id"), col(AgentRow.owner_id) == bindparam("owner_id")
    ),
)
Check = Callable[[Agent], None]


class AgentNotFound(NotFound):
    """Agent not found"""


def _anything(_agent: Agent) -> None:
    pass


async def create(
    session: AsyncSession, owner_id: str, wanted: AgentCreate, known: Collection[str] | None = None
) -> AgentRow:
    """A new agent, kept as it was asked for; `known` are the functions that workers have told of."""
    refuse_unknown(wanted.response_engine, known)
    config, kept = secrets.withhold(wanted.model_dump(mode="json"), {}, {})
    row = AgentRow(owner_id=owner_id, name=wanted.agent_name, config=config, secrets=kept or None)
    session.add(row)
    await session.flush()
    return row


async def page(session: AsyncSession, caller: Caller, wanted: Page) -> list[AgentRow]:
    """The owner's agents, newest first."""
    found = await session.exec(
        select(AgentRow)
        .where(AgentRow.owner_id == caller.owner_id)
        .order_by(col(AgentRow.created_at).desc(), col(AgentRow.id))
        .limit(wanted.limit)
        .offset(wanted.offset)
    )
    return list(found.all())


async def cards(session: AsyncSession, caller: Caller, wanted: Page) -> list[AgentRow]:
    """The agents that an end user may see, in the order that their owner gave them."""
    found = await session.exec(
        select(AgentRow)
        .where(AgentRow.owner_id == caller.owner_id)
        .order_by(col(AgentRow.created_at).desc(), col(AgentRow.id))
        .limit(MAX_CARDS)
    )
    shown = [row for row in found.all() if is_shown(caller, row)]
    shown.sort(key=_order)
    return shown[wanted.offset : wanted.offset + wanted.limit]


def is_shown(caller: Caller, row: AgentRow) -> bool:
    """Whether a caller may see an agent of their owner's: an end user not each of them."""
    if caller.end_user is None:
        return True
    card = row.config.get("public_metadata") or {}
    named = caller.end_user.agent_ids
    return card.get("visible") is not False and (named is None or row.id in named)


def _order(row: AgentRow) -> tuple[bool, int]:
    order = (row.config.get("public_metadata") or {}).get("order")
    return order is None, order or 0


async def get(session: AsyncSession, caller: Caller, agent_id: str) -> AgentRow:
    """One of the owner's agents, as far as this caller may see it."""
    row = await of_owner(session, caller.owner_id, agent_id)
    if not is_shown(caller, row):
        raise AgentNotFound
    return row


async def seen(database: Database, owner_id: str, agent_id: str) -> SeenAgent:
    """One of the owner's agents as it is committed, to be shown: without a session, and nothing sealed."""
    found = await database.ask(_SEEN, agent_id=agent_id, owner_id=owner_id)
    if not found:
        raise AgentNotFound
    return found[0]


async def of_owner(session: AsyncSession, owner_id: str, agent_id: str) -> AgentRow:
    """The same, for work that nobody asked for in a request."""
    found = await session.exec(select(AgentRow).where(AgentRow.id == agent_id, AgentRow.owner_id == owner_id))
    if (row := found.one_or_none()) is None:
        raise AgentNotFound
    return row


async def update(
    session: AsyncSession,
    caller: Caller,
    agent_id: str,
    changes: AgentUpdate,
    known: Collection[str] | None = None,
    *,
    must_be: Check = _anything,
) -> AgentRow:
    """Change what was sent; `known` are the functions that workers have told of.

    `must_be` sees the agent as it is, and raises where that is not what the change was meant for.
    """
    found = await session.exec(
        select(AgentRow)
        .where(AgentRow.id == agent_id, AgentRow.owner_id == caller.owner_id)
        .with_for_update()  # two changes at once: the second is made to what the first left
    )
    if (row := found.one_or_none()) is None:
        raise AgentNotFound
    must_be(Agent.of(row))
    sent = changes.model_fields_set
    config = {**row.config, **changes.model_dump(mode="json", include=sent)}
    try:
        wanted = AgentSettings.model_validate(config)
    except ValidationError as error:  # each change may be fine by itself, and the whole not
        raise Invalid.of(error, "body") from None
    await circles.refuse(session, row, wanted)
    refuse_unknown(changes.response_engine, known)
    row.config, kept = secrets.withhold(config, row.config, row.secrets or {})
    row.secrets = kept or None
    row.name = row.config["agent_name"]
    row.updated_at = now()
    session.add(row)
    await session.flush()
    return row


async def remove(session: AsyncSession, caller: Caller, agent_id: str, *, must_be: Check = _anything) -> None:
    """Forget an agent; what it did stays in its calls."""
    found = await session.exec(
        select(AgentRow)
        .where(AgentRow.id == agent_id, AgentRow.owner_id == caller.owner_id)
        .with_for_update()
    )
    if (row := found.one_or_none()) is None:
        raise AgentNotFound
    must_be(Agent.of(row))
    await session.exec(delete(AgentRow).where(col(AgentRow.id) == row.id))


async def duplicate(session: AsyncSession, caller: Caller, agent_id: str) -> AgentRow:
    """A copy under another name, which is shortened where it would become too long."""
    original = await get(session, caller, agent_id)
    settings = settings_of(original)
    name = settings.agent_name[: 100 - len(COPY_SUFFIX)] + COPY_SUFFIX
    copied = AgentCreate.model_validate({**settings.model_dump(mode="json"), "agent_name": name})
    config = copied.model_dump(mode="json")
    row = AgentRow(owner_id=caller.owner_id, name=name, config=config, secrets=original.secrets)
    session.add(row)
    await session.flush()
    return row


async def know(session: AsyncSession, owner_id: str, agent_id: str, base_id: str) -> None:
    """Let an agent answer from a knowledge base too."""
    found = await session.exec(
        select(AgentRow).where(AgentRow.id == agent_id, AgentRow.owner_id == owner_id).with_for_update()
    )
    if (row := found.one_or_none()) is None:
        raise AgentNotFound
    named = row.config.get("knowledge_base_ids") or []
    if base_id not in named:
        row.config = {**row.config, "knowledge_base_ids": [*named, base_id]}
        row.updated_at = now()
        session.add(row)


async def forget_base(session: AsyncSession, owner_id: str, base_id: str) -> None:
    """No agent of this owner answers from a knowledge base any more."""
    found = await session.exec(select(AgentRow).where(AgentRow.owner_id == owner_id).with_for_update())
    for row in found.all():
        named = row.config.get("knowledge_base_ids") or []
        if base_id in named:
            row.config = {**row.config, "knowledge_base_ids": [id_ for id_ in named if id_ != base_id]}
            row.updated_at = now()
            session.add(row)
