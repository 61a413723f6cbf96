"""Calls to strangers who ask for one: a minute each, once a day, from one number of the operator's."""

import hashlib
import hmac
from datetime import UTC, datetime, timedelta

from sqlalchemy import func
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.agents.service import AgentNotFound
from api.calls import service as calls
from api.calls.schemas import OutboundCall
from api.calls.table import CallRow
from api.db.columns import now
from api.http.callers import Caller
from api.http.errors import Invalid, TooManyRequests
from api.phone_numbers import routing
from api.public.schemas import DemoCallRequest
from api.public.service import require_callable
from api.settings import Settings

SECONDS = 60
A_DAY = 100
"""Of everybody together: the operator pays for them."""
_KIND = "demo"


class CalledToday(TooManyRequests):
    """This number was called today; try again tomorrow"""


class EnoughToday(TooManyRequests):
    """As many people were called today as may be; try again tomorrow"""


async def call(session: AsyncSession, asked: DemoCallRequest, settings: Settings) -> CallRow:
    """The row of a call to whoever asked. Raises what `calls.dial` does, `CalledToday` and `EnoughToday`."""
    if asked.website:
        raise Invalid.at("body", "website", msg="This field must stay empty", type="honeypot")
    number = require_callable(asked.phone_number)
    route = await routing.inbound(session, settings.demo_caller) if settings.demo_caller else None
    if route is None or route.agent_id is None or route.trunk is None or not route.trunk.active:
        raise calls.NoPhoneLine
    agent_id = await _agent(session, route.owner_id, asked.agent_id) if asked.agent_id else route.agent_id
    moment = now()
    tomorrow = datetime.combine(moment.date() + timedelta(days=1), datetime.min.time(), UTC)
    later = {"Retry-After": str(int((tomorrow - moment).total_seconds()) + 1)}
    if await _made(session, tomorrow - timedelta(days=1)) >= A_DAY:
        raise EnoughToday(headers=later)
    # Its id is the number's and the day's: two who ask at once cannot both have it.
    call_id = _id(number, moment, settings.secrets.jwt)
    wanted = OutboundCall(
        agent_id=agent_id,
        to_number=number,
        from_number=route.number,
        metadata={"source": _KIND},
        dynamic_variables={"name": asked.name} if asked.name else None,
    )
    stranger = Caller(owner_id=route.owner_id, user_id=route.owner_id, kind="visitor")
    try:
        async with session.begin_nested():
            return await calls.dial(session, stranger, wanted, call_id=call_id, longest_seconds=SECONDS)
    except IntegrityError:
        raise CalledToday(headers=later) from None


async def _agent(session: AsyncSession, owner_id: str, agent_id: str) -> str:
    """Another agent that anybody may talk with: one of the same owner's that answers a telephone."""
    try:
        await routing.outbound(session, owner_id, agent_id)
    except routing.NoNumber:
        raise AgentNotFound from None
    return agent_id


async def _made(session: AsyncSession, since: datetime) -> int:
    found = await session.exec(
        select(func.count())
        .select_from(CallRow)
        .where(col(CallRow.id).startswith(f"{_KIND}\\_", escape="\\"), col(CallRow.created_at) >= since)
    )
    return found.one()


def _id(number: str, moment: datetime, key: str) -> str:
    day = f"{moment.date().isoformat()} {number}".encode()
    return f"{_KIND}_{hmac.new(key.encode(), day, hashlib.sha256).hexdigest()[:24]}"
