"""Rules of endpoints, and the outbox: what is told to whom, written in the transaction of its cause."""

import time
from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from pydantic import SecretStr
from sqlalchemy import ColumnElement
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.db.columns import new_id, now
from api.db.engine import after_commit
from api.db.inserts import insert_new
from api.http.callers import Caller
from api.http.errors import Conflict, NotFound
from api.webhooks import events, signing, workflows
from api.webhooks.table import PENDING, WebhookDeliveryRow, WebhookEndpointRow, WebhookEventRow

MAX_ENDPOINTS = 20
PREVIOUS_HOURS = 24
"""For so long after a rotation the old secret signs as well."""
MAX_REPLAYED = 1000


class EndpointNotFound(NotFound):
    """Webhook endpoint not found"""


class DeliveryNotFound(NotFound):
    """Webhook delivery not found"""


class TooManyEndpoints(Conflict):
    """There are 20 webhook endpoints already; remove one first"""


class NoAddress(Conflict):
    """This endpoint has no URL yet"""


# ── endpoints ────────────────────────────────────────────────────────────────────────────────────
async def default_of(session: AsyncSession, owner_id: str) -> WebhookEndpointRow:
    """The owner's default endpoint; made, with a secret and without a URL, when it is first asked for."""
    found = await session.exec(
        select(WebhookEndpointRow)
        .where(WebhookEndpointRow.owner_id == owner_id, col(WebhookEndpointRow.is_default))
        .with_for_update()
    )
    if (row := found.one_or_none()) is not None:
        return row
    row = WebhookEndpointRow(
        # Derived, so that two requests at once make one row.
        id=f"we_{owner_id.removeprefix('user_')}",
        owner_id=owner_id,
        is_default=True,
        secret=SecretStr(signing.new_secret()),
    )
    await insert_new(session, WebhookEndpointRow, [row])
    return await session.get_one(WebhookEndpointRow, row.id)


async def create(session: AsyncSession, owner_id: str, **values: Any) -> WebhookEndpointRow:
    """One more endpoint, with a secret of its own."""
    counted = await session.exec(
        select(func.count()).select_from(WebhookEndpointRow).where(WebhookEndpointRow.owner_id == owner_id)
    )
    if counted.one() >= MAX_ENDPOINTS:
        raise TooManyEndpoints
    row = WebhookEndpointRow(owner_id=owner_id, secret=SecretStr(signing.new_secret()), **values)
    session.add(row)
    await session.flush()
    return row


async def endpoints(session: AsyncSession, caller: Caller) -> list[WebhookEndpointRow]:
    """The caller's endpoints, the default one first."""
    found = await session.exec(
        select(WebhookEndpointRow)
        .where(WebhookEndpointRow.owner_id == caller.owner_id)
        .order_by(col(WebhookEndpointRow.is_default).desc(), col(WebhookEndpointRow.created_at))
    )
    return list(found.all())


async def endpoint(session: AsyncSession, caller: Caller, endpoint_id: str) -> WebhookEndpointRow:
    """One of the caller's endpoints."""
    found = await session.exec(
        select(WebhookEndpointRow)
        .where(WebhookEndpointRow.id == endpoint_id, WebhookEndpointRow.owner_id == caller.owner_id)
        .with_for_update()
    )
    if (row := found.one_or_none()) is None:
        raise EndpointNotFound
    return row


async def keys(session: AsyncSession, owner_id: str) -> list[str]:
    """The secrets that sign what an owner's own URLs are sent."""
    return (await default_of(session, owner_id)).keys(now())


def change(row: WebhookEndpointRow, values: dict[str, Any]) -> None:
    """Change what was sent. A new URL, or `is_enabled`, gives a disabled endpoint another chance."""
    enabled = values.pop("is_enabled", None)
    for name, value in values.items():
        setattr(row, name, value)
    if enabled is False:
        row.disabled_at, row.disabled_why = now(), "switched off"
    elif enabled or "url" in values:
        row.disabled_at = row.disabled_why = row.failing_since = None
    row.updated_at = now()


def rotate(row: WebhookEndpointRow, secret: str | None = None) -> str:
    """Give an endpoint another secret; the one it had signs as well for a day. Returns the new one."""
    row.previous_secret, row.previous_until = row.secret, now() + timedelta(hours=PREVIOUS_HOURS)
    made = secret or signing.new_secret()
    row.secret, row.updated_at = SecretStr(made), now()
    return made


# ── the outbox ───────────────────────────────────────────────────────────────────────────────────
async def emit(
    session: AsyncSession,
    owner_id: str,
    event_type: events.EventType,
    cause: str,
    data: dict[str, Any],
    *,
    call_id: str | None = None,
    agent_id: str | None = None,
    agent_url: str | None = None,
    only: WebhookEndpointRow | None = None,
) -> None:
    """Tell whoever wants to know, once for each `cause`, in the transaction of what happened.

    `agent_url` is where the agent of a call wants to be told; `only` tells one endpoint and nobody else.
    """
    found = await session.exec(
        select(WebhookEndpointRow).where(
            WebhookEndpointRow.owner_id == owner_id,
            WebhookEndpointRow.url != "",
            col(WebhookEndpointRow.disabled_at).is_(None),
        )
    )
    targets = [(row.id, row.url) for row in found.all() if events.wants(row.events, event_type)]
    if agent_url and event_type in events.OF_AGENT:
        targets.append((f"agent:{agent_id}", agent_url))
    if only is not None:
        targets = [(only.id, only.url)]
    if not targets:
        return
    if any(target.startswith("agent:") for target, _ in targets):
        await default_of(session, owner_id)  # its secret signs
    await queue(session, owner_id, event_type, cause, data, targets, call_id=call_id, agent_id=agent_id)


async def queue(
    session: AsyncSession,
    owner_id: str,
    event_type: str,
    cause: str,
    data: dict[str, Any],
    targets: Iterable[tuple[str, str]],
    *,
    call_id: str | None = None,
    agent_id: str | None = None,
) -> None:
    """Write one event and a delivery to each `(target, url)`; nothing where the cause was told before."""
    at, event_id = now(), new_id("evt", 24)
    event = WebhookEventRow(
        id=event_id,
        owner_id=owner_id,
        type=event_type,
        cause=cause,
        call_id=call_id,
        agent_id=agent_id,
        body=events.body(event_id, event_type, at, data, call_id, agent_id),
        created_at=at,
    )
    if not await insert_new(session, WebhookEventRow, [event]):
        return
    deliveries = [
        WebhookDeliveryRow(
            owner_id=owner_id,
            event_id=event_id,
            target=target,
            url=url,
            chain=f"{call_id or event_id}:{target}",
            position=time.time_ns(),
            due_at=at,
        )
        for target, url in targets
    ]
    session.add_all(deliveries)
    for delivery in deliveries:
        after_commit(session, partial(workflows.start, delivery.id, 1))


# ── the log ──────────────────────────────────────────────────────────────────────────────────────
async def replay(session: AsyncSession, caller: Caller, delivery_id: str) -> WebhookDeliveryRow:
    """Deliver once more, from the beginning of its tries, whatever became of it."""
    found = await session.exec(
        select(WebhookDeliveryRow)
        .where(WebhookDeliveryRow.id == delivery_id, WebhookDeliveryRow.owner_id == caller.owner_id)
        .with_for_update()
    )
    if (row := found.one_or_none()) is None:
        raise DeliveryNotFound
    _begin_again(session, row)
    return row


async def replay_range(
    session: AsyncSession,
    caller: Caller,
    since: datetime,
    until: datetime,
    status: str,
    endpoint_id: str | None,
) -> int:
    """The same for the oldest of what was written in a stretch of time; returns how many those are."""
    asked: list[ColumnElement[bool]] = [
        col(WebhookDeliveryRow.owner_id) == caller.owner_id,
        col(WebhookDeliveryRow.status) == status,
        col(WebhookDeliveryRow.created_at) >= since,
        col(WebhookDeliveryRow.created_at) < until,
    ]
    if endpoint_id is not None:
        asked.append(col(WebhookDeliveryRow.target) == endpoint_id)
    found = await session.exec(
        select(WebhookDeliveryRow)
        .where(*asked)
        .order_by(col(WebhookDeliveryRow.position))
        .limit(MAX_REPLAYED)
        .with_for_update()
    )
    rows = found.all()
    for row in rows:
        _begin_again(session, row)
    return len(rows)


def _begin_again(session: AsyncSession, row: WebhookDeliveryRow) -> None:
    if row.status == PENDING and row.round_began == row.tries:
        return  # it waits for its first try already
    row.status, row.due_at, row.ended_at, row.round_began = PENDING, now(), None, row.tries
    session.add(row)
    after_commit(session, partial(workflows.start, row.id, row.tries + 1))
