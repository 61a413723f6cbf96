"""/v1/webhooks: where you are told of what happens, and what became of each telling."""

from aiohttp import web

from api.db.columns import new_id
from api.http.routes import Routes
from api.keys import CALLER, GUARD, SESSION
from api.webhooks import log, service
from api.webhooks.schemas import (
    Delivery,
    DeliveryDetail,
    DeliveryList,
    DeliveryQuery,
    Endpoint,
    EndpointCreate,
    EndpointUpdate,
    Replayed,
    ReplayRange,
    WebhookConfigured,
    WebhookSettings,
)
from api.webhooks.service import DeliveryNotFound, EndpointNotFound, NoAddress, TooManyEndpoints
from api.webhooks.urls import Unreachable, reachable

routes = Routes("/v1/webhooks", tag="Webhooks")


@routes.get()
async def get_webhook(request: web.Request) -> WebhookConfigured:
    """Get the account's webhook; its secret is not shown."""
    for row in await service.endpoints(request[SESSION], request[CALLER]):
        if row.is_default:
            return WebhookConfigured(webhook_url=row.url or None, has_secret=True, endpoint_id=row.id)
    return WebhookConfigured(webhook_url=None, has_secret=False)


@routes.put(errors=[Unreachable])
async def set_webhook(request: web.Request, body: WebhookSettings) -> WebhookConfigured:
    """Set the account's webhook. Its secret is shown in this reply only; an old one goes on for a day."""
    url = reachable(request.app[GUARD], body.webhook_url, "webhook_url")
    row = await service.default_of(request[SESSION], request[CALLER].owner_id)
    secret = row.secret.get_secret_value()
    if body.webhook_secret is not None:
        secret = service.rotate(row, body.webhook_secret.get_secret_value())
    service.change(row, {"url": url})
    return WebhookConfigured(webhook_url=url, has_secret=True, webhook_secret=secret, endpoint_id=row.id)


# ── endpoints ────────────────────────────────────────────────────────────────────────────────────
@routes.get("/endpoints")
async def list_webhook_endpoints(request: web.Request) -> list[Endpoint]:
    """List every address that is told, the account's own first."""
    return [Endpoint.of(row) for row in await service.endpoints(request[SESSION], request[CALLER])]


@routes.post(
    "/endpoints",
    status=201,
    errors=[TooManyEndpoints, Unreachable],
    location="/v1/webhooks/endpoints/{endpoint_id}",
)
async def create_webhook_endpoint(request: web.Request, body: EndpointCreate) -> Endpoint:
    """Add an address that is told. Its secret is shown in this reply only."""
    url = reachable(request.app[GUARD], body.url, "url")
    values = {**body.model_dump(), "url": url}
    row = await service.create(request[SESSION], request[CALLER].owner_id, **values)
    return Endpoint.of(row, row.secret.get_secret_value())


@routes.get("/endpoints/{endpoint_id}", errors=[EndpointNotFound])
async def get_webhook_endpoint(request: web.Request, endpoint_id: str) -> Endpoint:
    """Get an address that is told."""
    return Endpoint.of(await service.endpoint(request[SESSION], request[CALLER], endpoint_id))


@routes.patch("/endpoints/{endpoint_id}", errors=[EndpointNotFound, Unreachable])
async def update_webhook_endpoint(request: web.Request, endpoint_id: str, body: EndpointUpdate) -> Endpoint:
    """Change an address that is told, or switch it on or off."""
    row = await service.endpoint(request[SESSION], request[CALLER], endpoint_id)
    values = body.sent()
    if "url" in values:
        values["url"] = reachable(request.app[GUARD], values["url"], "url")
    service.change(row, values)
    return Endpoint.of(row)


@routes.delete("/endpoints/{endpoint_id}", errors=[EndpointNotFound])
async def delete_webhook_endpoint(request: web.Request, endpoint_id: str) -> None:
    """Tell this address no more. The account's own keeps its secret, which signs for agents' URLs."""
    row = await service.endpoint(request[SESSION], request[CALLER], endpoint_id)
    if row.is_default:
        service.change(row, {"url": ""})
    else:
        await request[SESSION].delete(row)


@routes.post("/endpoints/{endpoint_id}/rotate-secret", errors=[EndpointNotFound])
async def rotate_webhook_secret(request: web.Request, endpoint_id: str) -> Endpoint:
    """Give an address another secret, shown in this reply only; the old one signs as well for a day."""
    row = await service.endpoint(request[SESSION], request[CALLER], endpoint_id)
    return Endpoint.of(row, service.rotate(row))


@routes.post("/endpoints/{endpoint_id}/test", status=202, errors=[EndpointNotFound, NoAddress])
async def test_webhook_endpoint(request: web.Request, endpoint_id: str) -> Replayed:
    """Send a `webhook.test` event; what became of it stands in the deliveries."""
    row = await service.endpoint(request[SESSION], request[CALLER], endpoint_id)
    if not row.url or row.disabled_at is not None:
        raise NoAddress
    data = {"message": "This is a test of your webhook."}
    await service.emit(request[SESSION], row.owner_id, "webhook.test", new_id("test", 24), data, only=row)
    return Replayed(replayed=1)


# ── deliveries ───────────────────────────────────────────────────────────────────────────────────
@routes.get("/deliveries")
async def list_webhook_deliveries(request: web.Request, query: DeliveryQuery) -> DeliveryList:
    """List what was told to whom, newest first."""
    rows, total = await log.page(request[SESSION], request[CALLER], query)
    return DeliveryList(deliveries=[Delivery.of(row, event) for row, event in rows], total=total)


@routes.get("/deliveries/{delivery_id}", errors=[DeliveryNotFound])
async def get_webhook_delivery(request: web.Request, delivery_id: str) -> DeliveryDetail:
    """Get one delivery with what was sent, every answer, and how long it took."""
    return DeliveryDetail.told(*await log.told(request[SESSION], request[CALLER], delivery_id))


@routes.post("/deliveries/{delivery_id}/replay", status=202, errors=[DeliveryNotFound])
async def replay_webhook_delivery(request: web.Request, delivery_id: str) -> DeliveryDetail:
    """Deliver once more."""
    await service.replay(request[SESSION], request[CALLER], delivery_id)
    return DeliveryDetail.told(*await log.told(request[SESSION], request[CALLER], delivery_id))


@routes.post("/replay", status=202)
async def replay_webhooks(request: web.Request, body: ReplayRange) -> Replayed:
    """Deliver once more what was buried in a stretch of time; call again until it answers 0."""
    count = await service.replay_range(
        request[SESSION], request[CALLER], body.since, body.until, body.status, body.endpoint_id
    )
    return Replayed(replayed=count)
