"""Rules of SIP trunks: whose they are, and what the exchange is told of them."""

import asyncio
import socket
from typing import Any

from pydantic import SecretStr
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.db.columns import now
from api.http.callers import Caller
from api.http.errors import Conflict, Invalid, NotFound
from api.phone_numbers.table import PhoneNumberRow
from api.sip_trunks.schemas import SipTrunkCreate, SipTrunkUpdate
from api.sip_trunks.table import SipTrunkRow
from pipelines.contract.phones import SipTrunk
from pipelines.outbound import Guard, Refused

MAX_TRUNKS = 100
_RESOLVE_SECONDS = 3.0
_EMPTIED = ("sip_username", "outbound_caller_id")


class TrunkNotFound(NotFound):
    """SIP trunk not found"""


class TooManyTrunks(Conflict):
    """There are 100 SIP trunks already; remove one first"""


async def of_caller(session: AsyncSession, caller: Caller) -> list[tuple[SipTrunkRow, int]]:
    """The caller's trunks, newest first, each with how many numbers are bound to it."""
    counted = (
        select(func.count())
        .select_from(PhoneNumberRow)
        .where(PhoneNumberRow.trunk_id == SipTrunkRow.id)
        .correlate(SipTrunkRow)
        .scalar_subquery()
    )
    found = await session.exec(
        select(SipTrunkRow, counted)
        .where(SipTrunkRow.owner_id == caller.owner_id)
        .order_by(col(SipTrunkRow.created_at).desc(), col(SipTrunkRow.id))
    )
    return [(row, int(count)) for row, count in found.all()]


async def get(session: AsyncSession, owner_id: str, trunk_id: str) -> SipTrunkRow:
    """One of an owner's trunks."""
    found = await session.exec(
        select(SipTrunkRow)
        .where(SipTrunkRow.id == trunk_id, SipTrunkRow.owner_id == owner_id)
        .with_for_update()
    )
    if (row := found.one_or_none()) is None:
        raise TrunkNotFound
    return row


async def numbers_of(session: AsyncSession, row: SipTrunkRow) -> int:
    """How many numbers are bound to a trunk."""
    counted = await session.exec(
        select(func.count()).select_from(PhoneNumberRow).where(PhoneNumberRow.trunk_id == row.id)
    )
    return counted.one()


async def create(
    session: AsyncSession, caller: Caller, wanted: SipTrunkCreate, *, is_found: bool
) -> SipTrunkRow:
    """One more trunk; inactive where no name server knows its address (`is_found`)."""
    counted = await session.exec(
        select(func.count()).select_from(SipTrunkRow).where(SipTrunkRow.owner_id == caller.owner_id)
    )
    if counted.one() >= MAX_TRUNKS:
        raise TooManyTrunks
    row = SipTrunkRow(owner_id=caller.owner_id, active=is_found, **_values(wanted.model_dump()))
    session.add(row)
    await session.flush()
    return row


async def change(
    session: AsyncSession, caller: Caller, trunk_id: str, changes: SipTrunkUpdate
) -> SipTrunkRow:
    """Change what was sent."""
    row = await get(session, caller.owner_id, trunk_id)
    for name, value in _values(changes.model_dump(exclude_unset=True)).items():
        setattr(row, name, value)
    row.updated_at = now()
    session.add(row)
    await session.flush()
    return row


async def remove(session: AsyncSession, caller: Caller, trunk_id: str) -> None:
    """Forget a trunk; its numbers stay, and are bound to none."""
    await session.delete(await get(session, caller.owner_id, trunk_id))


async def active(session: AsyncSession) -> list[SipTrunkRow]:
    """Every trunk that is in use, whoever it belongs to: what the exchange registers and listens for."""
    found = await session.exec(
        select(SipTrunkRow).where(col(SipTrunkRow.active)).order_by(col(SipTrunkRow.id))
    )
    return list(found.all())


def as_told(row: SipTrunkRow) -> SipTrunk:
    """A trunk for whoever speaks SIP, with what signs us in."""
    return SipTrunk.model_validate(
        {
            "trunk_id": row.id,
            "server": row.sip_server,
            "proxies": row.sip_proxies,
            "transport": row.sip_transport,
            "username": row.sip_username or "",
            "password": row.sip_password.get_secret_value() if row.sip_password else "",
            "registers": row.registers,
            "allowed_addresses": row.allowed_addresses,
            "asserts_identity": row.sip_assert_identity,
            "caller_id": row.outbound_caller_id or "",
        }
    )


def refuse_unreachable(sent: SipTrunkCreate | SipTrunkUpdate, guard: Guard) -> None:
    """Raise `Invalid`, with the field, for a server in the private network that the operator did not name."""
    servers = [(("sip_server",), sent.sip_server)] if sent.sip_server else []
    proxies = [(("sip_proxies", str(n)), server) for n, server in enumerate(sent.sip_proxies or ())]
    for loc, server in [*servers, *proxies]:
        try:
            guard.check(f"http://{server}")
        except Refused as refused:
            raise Invalid.at("body", *loc, msg=str(refused), type="url_refused") from None


async def is_found(server: str) -> bool:
    """Whether a name server knows the host of `host:port`. Waits three seconds at most."""
    host = server.partition(":")[0]
    try:
        async with asyncio.timeout(_RESOLVE_SECONDS):
            return bool(await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM))
    except (TimeoutError, OSError, UnicodeError):
        return False


def _values(sent: dict[str, Any]) -> dict[str, Any]:
    """What was sent, as columns: empty texts take away what was there."""
    values = {name: None if name in _EMPTIED and value == "" else value for name, value in sent.items()}
    password = values.get("sip_password")
    if isinstance(password, SecretStr) and not password.get_secret_value():
        values["sip_password"] = None
    return values
