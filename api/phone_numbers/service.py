"""Rules of phone numbers: whose they are, who answers them, and which one a call goes out from."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import and_, or_
from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from api import telephone
from api.agents import service as agents
from api.agents.table import AgentRow
from api.db.columns import now
from api.db.inserts import insert_new
from api.http.callers import Caller
from api.http.errors import Conflict, Invalid, NotFound
from api.phone_numbers.answering import Answering
from api.phone_numbers.schemas import BOUGHT, DEMO, PhoneNumberCreate, PhoneNumberUpdate
from api.phone_numbers.table import (
    ACTIVE,
    LIVE,
    ORDERING,
    OURS,
    DemoReservationRow,
    NumberOrderRow,
    PhoneNumberRow,
)
from api.sip_trunks import service as trunks
from api.sip_trunks.table import SipTrunkRow
from api.webhooks.urls import reachable
from pipelines.outbound import Guard

LOCAL_REGION = "TR"
"""Where a number without a country code is taken to be from: the contract says so."""
Named = tuple[PhoneNumberRow, str | None, str | None, NumberOrderRow | None]
"""A number, what its agent is called, what its trunk is called, and the order it came by."""


class NumberNotFound(NotFound):
    """Phone number not found"""


class NobodyAnswers(NotFound):
    """No agent answers this number"""


class NumberTaken(Conflict):
    """This number is registered already"""


class BoughtHere(Conflict):
    """This number was bought here: its calls come over the connection that was made for it"""


async def register(
    session: AsyncSession, caller: Caller, wanted: PhoneNumberCreate, lent: Sequence[str] = ()
) -> Named:
    """A number that its owner brings along. Those that are `lent` to be tried are nobody's own."""
    if wanted.number is None:
        raise Invalid.at("body", "number", msg="Field required", type="missing")
    number = telephone.normal(wanted.number, LOCAL_REGION)
    if number is None:
        raise Invalid.at("body", "number", msg="Not a telephone number", type="phone_number")
    if number in lent or await is_live(session, number):
        raise NumberTaken
    row = PhoneNumberRow(number=number, owner_id=caller.owner_id, display_name=wanted.display_name or None)
    await _bind(session, row, wanted.model_dump(include={"agent_id", "trunk_id"}, exclude_none=True))
    if not await insert_new(session, PhoneNumberRow, [row]):
        raise NumberTaken
    return await named(session, caller, number)


async def page(session: AsyncSession, caller: Caller) -> Sequence[Named]:
    """The caller's numbers, newest first."""
    found = await session.exec(
        _named()
        .where(col(PhoneNumberRow.owner_id) == caller.owner_id, in_force())
        .order_by(col(PhoneNumberRow.created_at).desc(), col(PhoneNumberRow.number))
    )
    return list(found.all())


async def named(session: AsyncSession, caller: Caller, number: str) -> Named:
    """One of the caller's numbers, with what its agent and trunk are called."""
    found = await session.exec(
        _named().where(
            col(PhoneNumberRow.number) == spelled(number),
            col(PhoneNumberRow.owner_id) == caller.owner_id,
            in_force(),
        )
    )
    row: Named | None = found.one_or_none()
    if row is None:
        raise NumberNotFound
    return row


async def get(session: AsyncSession, caller: Caller, number: str) -> PhoneNumberRow:
    """One of the caller's numbers."""
    found = await session.exec(
        select(PhoneNumberRow)
        .where(
            PhoneNumberRow.number == spelled(number),
            PhoneNumberRow.owner_id == caller.owner_id,
            in_force(),
        )
        .with_for_update()
    )
    if (row := found.one_or_none()) is None:
        raise NumberNotFound
    return row


async def change(
    session: AsyncSession,
    caller: Caller,
    number: str,
    changes: PhoneNumberUpdate,
    guard: Guard,
) -> Named:
    """Change what was sent."""
    row = await get(session, caller, number)
    sent = changes.model_dump(exclude_unset=True)
    await _bind(session, row, sent)
    if "display_name" in sent:
        row.display_name = sent["display_name"] or None
    if "active" in sent:
        row.active = sent["active"]
    if "answering" in sent:
        row.answering = await _checked(session, row, changes.answering, guard)
    row.updated_at = now()
    session.add(row)
    await session.flush()
    return await named(session, caller, row.number)


async def remove(session: AsyncSession, caller: Caller, number: str) -> str:
    """Forget a number; returns it as it was kept."""
    row = await get(session, caller, number)
    if row.provider == DEMO:
        await session.exec(
            update(DemoReservationRow)
            .where(col(DemoReservationRow.owner_id) == row.owner_id)
            .values(released_at=now())
        )
    await session.delete(row)
    return row.number


async def is_live(session: AsyncSession, number: str) -> bool:
    """Whether a number is the carrier's and ours, or may be: then nobody registers it as their own."""
    found = await session.exec(
        select(NumberOrderRow.id)
        .where(NumberOrderRow.number == number, col(NumberOrderRow.status).in_(LIVE))
        .limit(1)
    )
    return found.one_or_none() is not None


async def answering(session: AsyncSession, caller: Caller, number: str) -> AgentRow:
    """The agent that answers one of the caller's numbers."""
    row = await get(session, caller, number)
    if row.agent_id is None or not row.active or row.standing != ACTIVE:
        raise NobodyAnswers
    return await agents.get(session, caller, row.agent_id)


def is_usable() -> Any:
    """A condition: the number's owner wants it to ring, and it may."""
    return and_(col(PhoneNumberRow.active), col(PhoneNumberRow.standing) == ACTIVE)


def in_force() -> Any:
    """A condition: the number was not lent, or is still."""
    return or_(col(PhoneNumberRow.until).is_(None), col(PhoneNumberRow.until) > now())


def spelled(number: str) -> str:
    """A number as it is kept."""
    return telephone.normal(number, LOCAL_REGION) or number


def _named() -> Any:
    return (
        select(PhoneNumberRow, AgentRow.name, SipTrunkRow.name, NumberOrderRow)
        .join(AgentRow, col(AgentRow.id) == col(PhoneNumberRow.agent_id), isouter=True)
        .join(SipTrunkRow, col(SipTrunkRow.id) == col(PhoneNumberRow.trunk_id), isouter=True)
        .join(
            NumberOrderRow,
            and_(
                col(NumberOrderRow.number) == col(PhoneNumberRow.number),
                col(NumberOrderRow.owner_id) == col(PhoneNumberRow.owner_id),
                col(NumberOrderRow.status).in_((ORDERING, OURS)),
            ),
            isouter=True,
        )
    )


async def _bind(session: AsyncSession, row: PhoneNumberRow, sent: dict[str, Any]) -> None:
    """Bind a number to an agent and a trunk of the same owner; an empty id unbinds."""
    # Each is looked for before the row names it: the query would write that first, and there may be none.
    if "agent_id" in sent:
        if agent_id := sent["agent_id"] or None:
            await agents.of_owner(session, row.owner_id, agent_id)
        row.agent_id = agent_id
    if "trunk_id" in sent:
        if row.provider == BOUGHT:
            raise BoughtHere
        if trunk_id := sent["trunk_id"] or None:
            await trunks.get(session, row.owner_id, trunk_id)
        row.trunk_id = trunk_id


async def has_any(session: AsyncSession, asked: Collection[str]) -> bool:
    """Whether any of these is a number of this installation, whoever has it."""
    found = await session.exec(
        select(PhoneNumberRow.number).where(col(PhoneNumberRow.number).in_(asked)).limit(1)
    )
    return found.first() is not None


async def _checked(
    session: AsyncSession, row: PhoneNumberRow, wanted: Answering | None, guard: Guard
) -> dict[str, Any] | None:
    """The rules as they are kept, once everything that they name may be reached."""
    if wanted is None or wanted == Answering():
        return None
    for where, agent_id in wanted.agents():
        try:
            await agents.of_owner(session, row.owner_id, agent_id)
        except agents.AgentNotFound:
            raise Invalid.at("body", "answering", where, msg="No agent of yours", type="agent") from None
    if wanted.fallback_number is not None and await has_any(session, [wanted.fallback_number]):
        told = "That is a number of this installation: name its agent instead"
        raise Invalid.at("body", "answering", "fallback_number", msg=told, type="own_number")
    if wanted.webhook_url is not None:
        reachable(guard, wanted.webhook_url, "answering.webhook_url")
    return wanted.model_dump(mode="json")
