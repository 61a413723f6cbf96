"""Who may talk, to which agent, and whether anybody could answer."""

import json
import secrets
from datetime import timedelta
from typing import Any

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.agents import service as agents
from api.agents.table import AgentRow
from api.calls import service as calls
from api.calls.costs import Prices
from api.calls.schemas import Known
from api.calls.settlement import events_of
from api.calls.table import CallRow
from api.contacts import service as contacts
from api.db.columns import now
from api.http.callers import Caller
from api.http.errors import NotFound, Unavailable
from api.outside.rooms import Ticket
from api.voice.schemas import TokenRequest
from pipelines.contract.brief import AGENT_NAME, JobMetadata
from pipelines.contract.events import CallEvent

TOKEN_SECONDS = 600
"""A token that is not used in this time expires; the call is forgotten."""

_MAX_VALUE = 2000
_RETRY = {"Retry-After": "2"}


class RoomNotFound(NotFound):
    """Room not found"""


class LiveKitDown(Unavailable):
    """livekit-server does not answer, so no call can begin; it is tried again with each request"""

    def __init__(self) -> None:
        super().__init__(headers=_RETRY)


class NobodyAnswers(Unavailable):
    """No worker could answer a call now"""

    def __init__(self, why: str) -> None:
        super().__init__(f"No call can be answered now: {why}.", headers=_RETRY)


class LanguageUnavailable(Unavailable):
    """This machine cannot hold a call in the agent's language"""


async def chosen_agent(session: AsyncSession, caller: Caller, agent_id: str | None) -> AgentRow:
    """The agent that was asked for, else the caller's newest."""
    if agent_id is not None:
        return await agents.get(session, caller, agent_id)
    found = await session.exec(
        select(AgentRow)
        .where(AgentRow.owner_id == caller.owner_id)
        .order_by(col(AgentRow.created_at).desc(), col(AgentRow.id))
        .limit(1)
    )
    if (newest := found.one_or_none()) is None:
        raise agents.AgentNotFound("There is no agent yet: create one first.")
    return newest


async def running_call(session: AsyncSession, caller: Caller, room_name: str | None) -> CallRow | None:
    """The caller's running call that this room belongs to; None where the name is only a label."""
    if not room_name or (call := await calls.of_room(session, room_name)) is None:
        return None
    if call.owner_id != caller.owner_id:
        raise RoomNotFound
    if call.is_over:
        return None
    call.token_expires_at = now() + timedelta(seconds=TOKEN_SECONDS)  # a new token, a new wait
    session.add(call)
    return call


async def open_call(
    session: AsyncSession, caller: Caller, agent: AgentRow, asked: TokenRequest, session_seconds: int
) -> CallRow:
    """Write the row of a call that nobody has joined yet."""
    if asked.contact_id is not None:
        await contacts.get(session, caller.owner_id, asked.contact_id)
    variables = as_variables(asked.context or {})
    if asked.participant_name:
        variables.setdefault("username", asked.participant_name)
    call = CallRow(
        owner_id=caller.owner_id,
        agent_id=agent.id,
        contact_id=asked.contact_id,
        room_name=f"room_{secrets.token_hex(10)}",
        participant_identity=asked.user_identity or f"user_{secrets.token_hex(6)}",
        participant_name=asked.participant_name or "",
        variables=variables,
        extra=asked.metadata,
        max_duration_seconds=session_seconds,
        token_expires_at=now() + timedelta(seconds=TOKEN_SECONDS),
    )
    session.add(call)
    await session.flush()
    return call


async def session_told(
    session: AsyncSession, caller: Caller, room_name: str, prices: Prices
) -> tuple[CallRow, list[CallEvent], Known]:
    """The caller's call in this room, what happened in it, and what its settlement found out."""
    call = await calls.of_room(session, room_name)
    if call is None or call.owner_id != caller.owner_id:
        raise RoomNotFound
    if caller.end_user is not None:
        is_theirs = (call.extra or {}).get("external_user_id") == caller.external_user_id
        named = caller.end_user.agent_ids
        if not is_theirs or (named is not None and call.agent_id not in named):
            raise RoomNotFound
    events = await events_of(session, call.id)
    return call, events, await calls.known(session, call, events, prices)


def ticket(call: CallRow) -> Ticket:
    """What lets the person of a call into its room. Only a call that waits still asks for an agent."""
    is_waiting = call.briefed_at is None
    return Ticket(
        room_name=call.room_name or "",
        identity=call.participant_identity,
        name=call.participant_name,
        ttl_seconds=TOKEN_SECONDS,
        dispatch_to=AGENT_NAME if is_waiting else "",
        job_metadata=JobMetadata(call_id=call.id).model_dump() if is_waiting else {},
    )


def session_seconds(agent: AgentRow, asked: TokenRequest) -> int:
    """How long this call may last."""
    longest = agents.settings_of(agent).max_call_duration_ms // 1000
    return min(longest, asked.max_duration_sec or longest)


def as_variables(context: dict[str, Any]) -> dict[str, str]:
    """Free-form values as the texts that `{{name}}` stands for; nested ones as JSON, all of them bounded."""
    return {name[:100]: _text(value)[:_MAX_VALUE] for name, value in context.items() if value is not None}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
