"""Rules of web calls: whose they are, who answers, and how often a public one may be used."""

import secrets
from typing import Any

from pydantic import SecretStr
from sqlmodel import col, delete, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from api.agents import service as agents
from api.auth.tokens import hashed
from api.calls.table import CallRow
from api.db.columns import now
from api.db.inserts import insert_new
from api.http.callers import Caller
from api.http.errors import Conflict, NotFound, TooManyRequests, Unavailable
from api.phone_numbers import routing
from api.phone_numbers import service as numbers
from api.web_call.schemas import PublicWebCallUpdate, WebCallConfigUpdate
from api.web_call.table import PublicWebCallRow, PublicWebCallUseRow, WebCallRow
from api.widgets.quotas import seconds_left

SOURCE = "web_call"
DIRECTION = "web_bridge"


class WebCallOff(Conflict):
    """Web calls are not enabled for this agent: PUT /v1/web-call/config/{agent_id} with "enabled": true"""


class TokenUnknown(NotFound):
    """There is no web call here"""


class NoBridge(Unavailable):
    """No browser can be joined with a telephone here: only your own numbers can be called, and with no
    carrier in between, where an agent answers them"""


class DaySpent(TooManyRequests):
    """As many calls as allowed were begun today; it goes on tomorrow"""


async def config(session: AsyncSession, caller: Caller, agent_id: str) -> WebCallRow | None:
    """What the owner of an agent decided; None before anything was."""
    agent = await agents.get(session, caller, agent_id)
    return await _config(session, agent.id)


async def configure(
    session: AsyncSession, caller: Caller, agent_id: str, changes: WebCallConfigUpdate
) -> WebCallRow:
    """Change what was sent."""
    agent = await agents.get(session, caller, agent_id)
    fresh = WebCallRow(owner_id=agent.owner_id, agent_id=agent.id, name=agent.name)
    await insert_new(session, WebCallRow, [fresh])
    found = await session.exec(select(WebCallRow).where(WebCallRow.agent_id == agent.id).with_for_update())
    row = found.one()
    _change(row, changes.model_dump(exclude_none=True))
    session.add(row)
    await session.flush()
    return row


async def public_config(session: AsyncSession, caller: Caller, agent_id: str) -> PublicWebCallRow | None:
    """How everybody may call; None before anything was decided."""
    agent = await agents.get(session, caller, agent_id)
    found = await session.exec(select(PublicWebCallRow).where(PublicWebCallRow.agent_id == agent.id))
    return found.one_or_none()


async def configure_public(
    session: AsyncSession, caller: Caller, agent_id: str, changes: PublicWebCallUpdate
) -> PublicWebCallRow:
    """Change what was sent."""
    row = await _locked(session, caller, agent_id)
    sent = changes.model_dump(exclude_unset=True)
    _change(
        row, {name: value for name, value in sent.items() if value is not None or name == "target_number"}
    )
    session.add(row)
    await session.flush()
    return row


async def renew_token(session: AsyncSession, caller: Caller, agent_id: str) -> PublicWebCallRow:
    """Another token; with the one before nobody gets in from this commit on."""
    row = await _locked(session, caller, agent_id)
    _change(row, _new_token())
    session.add(row)
    await session.flush()
    return row


async def shown(session: AsyncSession, public_token: str) -> PublicWebCallRow:
    """The web call that a token opens. Looked for by a hash: how long that takes tells nothing of a token."""
    found = await session.exec(
        select(PublicWebCallRow).where(
            PublicWebCallRow.hash == hashed(public_token), col(PublicWebCallRow.public_enabled).is_(True)
        )
    )
    if (row := found.one_or_none()) is None:
        raise TokenUnknown
    return row


async def begin(session: AsyncSession, caller: Caller, agent_id: str, to_number: str) -> tuple[str, str]:
    """Whose number a call goes out from, and who answers it. Raises where it may not be made."""
    agent = await agents.get(session, caller, agent_id)
    row = await _config(session, agent.id)
    if row is None or not row.enabled:
        raise WebCallOff
    route = await routing.outbound(session, caller.owner_id, agent.id)
    return route.number, await answering(session, caller, to_number)


async def answering(session: AsyncSession, caller: Caller, number: str) -> str:
    """The agent that answers one of the caller's own numbers; all others need a telephone line."""
    try:
        return (await numbers.answering(session, caller, number)).id
    except (numbers.NumberNotFound, numbers.NobodyAnswers):
        raise NoBridge from None


async def note(
    session: AsyncSession, call_id: str, agent_id: str, from_number: str | None, to_number: str | None
) -> None:
    """A call was opened for this configuration: between which numbers it is, and whether it is recorded."""
    call = await session.get(CallRow, call_id)
    if call is None:
        return
    row = await _config(session, agent_id)
    call.direction = DIRECTION
    call.from_number, call.to_number = from_number, to_number
    call.is_recorded = row.record_enabled if row is not None else None
    session.add(call)


async def take_call(session: AsyncSession, row: PublicWebCallRow) -> None:
    """Count a call of today. Raises `DaySpent`, and then nothing is counted."""
    today = now().date()
    made = await insert_new(
        session, PublicWebCallUseRow, [PublicWebCallUseRow(web_call_id=row.id, day=today)]
    )
    if made:  # the first one of a day tidies up
        await session.exec(
            delete(PublicWebCallUseRow).where(
                col(PublicWebCallUseRow.web_call_id) == row.id, col(PublicWebCallUseRow.day) < today
            )
        )
    # One statement decides, however many ask at once.
    counted = await session.exec(
        update(PublicWebCallUseRow)
        .where(
            col(PublicWebCallUseRow.web_call_id) == row.id,
            col(PublicWebCallUseRow.day) == today,
            col(PublicWebCallUseRow.count) < row.daily_call_limit,
        )
        .values(count=PublicWebCallUseRow.count + 1)
        .returning(col(PublicWebCallUseRow.count))
    )
    if counted.scalar_one_or_none() is None:
        raise DaySpent(headers={"Retry-After": str(seconds_left())})


def calling(row: PublicWebCallRow) -> Caller:
    """Whoever calls with a token reaches its owner's agent, and its owner pays."""
    return Caller(owner_id=row.owner_id, user_id=row.owner_id, kind="visitor")


async def _config(session: AsyncSession, agent_id: str) -> WebCallRow | None:
    return (await session.exec(select(WebCallRow).where(WebCallRow.agent_id == agent_id))).one_or_none()


async def _locked(session: AsyncSession, caller: Caller, agent_id: str) -> PublicWebCallRow:
    """The row of an agent, made where there is none: closed until its owner opens it."""
    agent = await agents.get(session, caller, agent_id)
    fresh = PublicWebCallRow(owner_id=agent.owner_id, agent_id=agent.id, **_new_token())
    await insert_new(session, PublicWebCallRow, [fresh])
    found = await session.exec(
        select(PublicWebCallRow).where(PublicWebCallRow.agent_id == agent.id).with_for_update()
    )
    return found.one()


def _new_token() -> dict[str, Any]:
    token = f"wc_{secrets.token_urlsafe(32)}"
    return {"token": SecretStr(token), "hash": hashed(token)}


def _change(row: WebCallRow | PublicWebCallRow, values: dict[str, Any]) -> None:
    for name, value in values.items():
        setattr(row, name, value)
    row.updated_at = now()
