"""Deliveries: tried until they arrive or are buried, one after the other for each call and address.

deliver(id, 1) ─ arrived ─────────────────────────────► next of the chain
     └─ failed ─► deliver(id, 2) after 10 s ─ … ─ 4 ─► buried ─► next of the chain
"""

import logging
import time
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlsplit

from dbos import DBOS
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.db.columns import now
from api.db.inserts import insert_new
from api.durable import engine, letters
from api.outside.mail import Letter
from api.users.table import UserRow
from api.webhooks import signing
from api.webhooks.table import (
    DEAD,
    DELIVERED,
    PENDING,
    WebhookDeliveryRow,
    WebhookEndpointRow,
    WebhookEventRow,
    WebhookTryRow,
)
from pipelines.outbound import NoAnswer

_LOG = logging.getLogger(__name__)

QUEUE = "webhooks"
AT_ONCE = 32
"""Deliveries under way in one process; one slow receiver holds only its own chains."""
DELAYS = (10.0, 60.0, 360.0)
"""Seconds before the second, third and fourth try."""
HOURLY = (3600.0,) * 24
TRY_SECONDS = 10.0
MAX_ANSWER_BYTES = 2_000
GONE = 410
DISABLE_AFTER = timedelta(days=5)
OVERDUE_SECONDS = 120.0


@dataclass(frozen=True)
class Post:
    """One try, ready to be sent."""

    url: str
    body: str
    headers: dict[str, str]
    delays: tuple[float, ...]


@dataclass(frozen=True)
class Answered:
    """What came back: a status, or a sentence that says why there is none."""

    status_code: int | None
    error: str | None
    text: str
    duration_ms: float

    @property
    def has_arrived(self) -> bool:
        """True for any 2xx."""
        return self.status_code is not None and 200 <= self.status_code < 300


Following = tuple[str, int, float]
"""A try to be made: of which delivery, which number, after how many seconds."""


@DBOS.workflow(name="deliver")
async def deliver(delivery_id: str, number: int) -> None:
    """Try once, then arrange what follows."""
    with engine.at_work():
        following = await attempt(delivery_id, number)
        if following is not None:
            next_id, next_number, delay = following
            await start(next_id, next_number, delay, after=delivery_id)


async def start(delivery_id: str, number: int, delay_seconds: float = 0.0, after: str = "") -> None:
    """Queue a try. Safe to ask for twice; never raises, since the sweeper asks again.

    `after` names the delivery that it follows: its first try may have come before its turn, and is over.
    """
    workflow_id = f"{delivery_id}-{number}" + (f"-{after}" if after not in ("", delivery_id) else "")
    try:
        await engine.enqueue(QUEUE, workflow_id, deliver, delivery_id, number, delay_seconds=delay_seconds)
    except Exception as error:  # noqa: BLE001 - the delivery is committed; the sweeper starts what this did not
        _LOG.warning("delivery not queued", extra={"delivery_id": delivery_id, "error": type(error).__name__})


@DBOS.step(name="deliver.attempt", retries_allowed=True, max_attempts=3)
async def attempt(delivery_id: str, number: int) -> Following | None:
    """Send, and write down what was answered; returns the try that follows.

    A process that dies in between sends again: a receiver knows the event by its `webhook-id`.
    """
    database = engine.reach().database
    async with database.transaction() as session:
        post = await _prepared(session, delivery_id, number)
    if post is None:
        return None
    answered = await _send(post)
    async with database.transaction() as session:
        return await _note(session, delivery_id, number, post, answered)


async def _prepared(session: AsyncSession, delivery_id: str, number: int) -> Post | None:
    """What to send now; None when this try was made, its turn has not come, or nobody wants it any more."""
    delivery = await session.get(WebhookDeliveryRow, delivery_id, with_for_update=True)
    if delivery is None or delivery.status != PENDING or number != delivery.tries + 1:
        return None
    if await _first_of(session, delivery.chain) != delivery_id:
        return None  # whoever is before it starts it
    event = await session.get_one(WebhookEventRow, delivery.event_id)
    if delivery.target.startswith("we_"):
        endpoint = await session.get(WebhookEndpointRow, delivery.target)
        if endpoint is None or endpoint.disabled_at is not None or not endpoint.url:
            delivery.status, delivery.ended_at = DEAD, now()
            return None
        url = endpoint.url  # a corrected address counts for what still waits
    else:
        url = delivery.url
        endpoint = (
            await session.exec(
                select(WebhookEndpointRow).where(
                    WebhookEndpointRow.owner_id == delivery.owner_id, col(WebhookEndpointRow.is_default)
                )
            )
        ).one()
    at = now()
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "Call2Me-Webhooks/1",
        "X-Call2Me-Event": event.type,
        **signing.headers(event.id, event.body, at, endpoint.keys(at)),
    }
    return Post(url, event.body, headers, DELAYS + (HOURLY if endpoint.retries_for_a_day else ()))


async def _first_of(session: AsyncSession, chain: str) -> str | None:
    found = await session.exec(
        select(WebhookDeliveryRow.id)
        .where(WebhookDeliveryRow.chain == chain, WebhookDeliveryRow.status == PENDING)
        .order_by(col(WebhookDeliveryRow.position), col(WebhookDeliveryRow.id))
        .limit(1)
    )
    return found.one_or_none()


async def _send(post: Post) -> Answered:
    began = time.perf_counter()
    status, error, text = None, None, ""
    try:
        answer = await engine.reach().guard.fetch(
            "POST",
            post.url,
            data=post.body,
            headers=post.headers,
            timeout_seconds=TRY_SECONDS,
            max_bytes=MAX_ANSWER_BYTES,
        )
        status, text = answer.status, answer.body.decode("utf-8", "replace").replace("\x00", "")
    except NoAnswer as refused:
        error = str(refused)[:500]
    return Answered(status, error, text, (time.perf_counter() - began) * 1000)


async def _note(
    session: AsyncSession, delivery_id: str, number: int, post: Post, answered: Answered
) -> Following | None:
    delivery = await session.get(WebhookDeliveryRow, delivery_id, with_for_update=True)
    if delivery is None:
        return None
    tried = WebhookTryRow(
        delivery_id=delivery_id,
        number=number,
        status_code=answered.status_code,
        error=answered.error,
        answer=answered.text,
        headers=post.headers,
        duration_ms=answered.duration_ms,
    )
    if not await insert_new(session, WebhookTryRow, [tried]):
        return None  # another process made this very try and arranged what follows
    delivery.tries = number
    await _judge_endpoint(session, delivery.target, answered)
    delay = post.delays[number - delivery.round_began - 1 :][:1]
    if answered.has_arrived:
        delivery.status, delivery.ended_at = DELIVERED, now()
    elif delay and answered.status_code != GONE:
        delivery.due_at = now() + timedelta(seconds=delay[0])
        return delivery_id, number + 1, delay[0]
    else:
        delivery.status, delivery.ended_at = DEAD, now()
        _LOG.warning("a webhook was buried", extra={"delivery_id": delivery_id})
    await session.flush()
    waiting = await _first_of(session, delivery.chain)
    following = None if waiting is None else await session.get(WebhookDeliveryRow, waiting)
    return None if following is None else (following.id, following.tries + 1, 0.0)


async def _judge_endpoint(session: AsyncSession, target: str, answered: Answered) -> None:
    """Switch off an endpoint that says it is gone, or has answered nothing good for days, and say so."""
    endpoint = await session.get(WebhookEndpointRow, target, with_for_update=True)
    if endpoint is None or endpoint.disabled_at is not None:
        return
    if answered.has_arrived:
        endpoint.failing_since = None
        return
    endpoint.failing_since = endpoint.failing_since or now()
    if answered.status_code == GONE:
        endpoint.disabled_why = "it answered 410 Gone"
    elif now() - endpoint.failing_since > DISABLE_AFTER:
        endpoint.disabled_why = f"it has failed since {endpoint.failing_since:%Y-%m-%d %H:%M} UTC"
    else:
        return
    endpoint.disabled_at = now()
    _LOG.warning("a webhook endpoint was switched off", extra={"endpoint_id": endpoint.id})
    owner = await session.get_one(UserRow, endpoint.owner_id)
    host = urlsplit(endpoint.url).hostname or "the address"
    letter = Letter(
        to=owner.email,
        subject=f"Webhooks to {host} are switched off",
        text=f"Your webhook endpoint {endpoint.id} at {host} was switched off: {endpoint.disabled_why}.\n\n"
        "Nothing is lost: once it answers again, switch it on (PATCH /v1/webhooks/endpoints/"
        f"{endpoint.id} with is_enabled) and replay what it missed (POST /v1/webhooks/replay).\n",
        letter_id=f"webhook-{endpoint.id}-{int(endpoint.disabled_at.timestamp())}",
    )
    await letters.write(session, letter)


async def sweep() -> None:
    """Queue what should have been tried by now: what a crash between two commits left unqueued."""
    async with engine.reach().database.transaction(writes=False) as session:
        found = await session.exec(
            select(WebhookDeliveryRow.id, WebhookDeliveryRow.tries, WebhookDeliveryRow.chain)
            .where(
                WebhookDeliveryRow.status == PENDING,
                col(WebhookDeliveryRow.due_at) < now() - timedelta(seconds=OVERDUE_SECONDS),
            )
            .order_by(col(WebhookDeliveryRow.position))
            .limit(500)
        )
        first: dict[str, tuple[str, int]] = {}
        for delivery_id, tries, chain in found.all():
            first.setdefault(chain, (delivery_id, tries))
    for delivery_id, tries in first.values():
        await engine.enqueue_again(QUEUE, f"{delivery_id}-{tries + 1}", deliver, delivery_id, tries + 1)
