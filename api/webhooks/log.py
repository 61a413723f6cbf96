"""What became of each telling."""

from sqlalchemy import ColumnElement
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.http.callers import Caller
from api.webhooks.schemas import DeliveryQuery
from api.webhooks.service import DeliveryNotFound
from api.webhooks.table import WebhookDeliveryRow, WebhookEventRow, WebhookTryRow

Told = tuple[WebhookDeliveryRow, WebhookEventRow]


async def page(session: AsyncSession, caller: Caller, query: DeliveryQuery) -> tuple[list[Told], int]:
    """A page of the caller's deliveries, newest first, and how many there are."""
    asked: list[ColumnElement[bool]] = [col(WebhookDeliveryRow.owner_id) == caller.owner_id]
    if query.status is not None:
        asked.append(col(WebhookDeliveryRow.status) == query.status)
    if query.endpoint_id is not None:
        asked.append(col(WebhookDeliveryRow.target) == query.endpoint_id)
    if query.event is not None:
        asked.append(col(WebhookEventRow.type) == query.event)
    if query.call_id is not None:
        asked.append(col(WebhookEventRow.call_id) == query.call_id)
    joined = (
        select(WebhookDeliveryRow, WebhookEventRow)
        .join(WebhookEventRow, col(WebhookEventRow.id) == WebhookDeliveryRow.event_id)
        .where(*asked)
    )
    total = await session.exec(
        select(func.count())
        .select_from(WebhookDeliveryRow)
        .join(WebhookEventRow, col(WebhookEventRow.id) == WebhookDeliveryRow.event_id)
        .where(*asked)
    )
    found = await session.exec(
        joined.order_by(col(WebhookDeliveryRow.position).desc(), col(WebhookDeliveryRow.id))
        .limit(query.limit)
        .offset(query.offset)
    )
    return [(row, event) for row, event in found.all()], total.one()


async def told(
    session: AsyncSession, caller: Caller, delivery_id: str
) -> tuple[WebhookDeliveryRow, WebhookEventRow, list[WebhookTryRow]]:
    """One of the caller's deliveries, its event, and every try in order."""
    found = await session.exec(
        select(WebhookDeliveryRow, WebhookEventRow)
        .join(WebhookEventRow, col(WebhookEventRow.id) == WebhookDeliveryRow.event_id)
        .where(WebhookDeliveryRow.id == delivery_id, WebhookDeliveryRow.owner_id == caller.owner_id)
    )
    if (pair := found.one_or_none()) is None:
        raise DeliveryNotFound
    tries = await session.exec(
        select(WebhookTryRow)
        .where(WebhookTryRow.delivery_id == delivery_id)
        .order_by(col(WebhookTryRow.number))
    )
    return pair[0], pair[1], list(tries.all())
