"""/v1/agents/{agent_id}/notifications and /v1/notifications: who is told when a call or a chat is over."""

from aiohttp import web

from api.agents.service import AgentNotFound
from api.http.routes import Routes
from api.keys import CALLER, GUARD, SESSION
from api.notifications import service
from api.notifications.schemas import NotificationTarget, TargetCreate, TargetUpdate

of_agents = Routes("/v1/agents", tag="Notifications")
routes = Routes("/v1/notifications", tag="Notifications")


@of_agents.get("/{agent_id}/notifications", errors=[AgentNotFound])
async def list_notification_targets(request: web.Request, agent_id: str) -> list[NotificationTarget]:
    """List who is told of an agent's calls and chats."""
    rows = await service.of_agent(request[SESSION], request[CALLER], agent_id)
    return [service.told(row) for row in rows]


@of_agents.post(
    "/{agent_id}/notifications",
    status=201,
    errors=[AgentNotFound, service.TooManyTargets, service.NoCarrier, service.NoWhatsApp],
)
async def create_notification_target(
    request: web.Request, agent_id: str, body: TargetCreate
) -> NotificationTarget:
    """Have somebody told, by a webhook, a letter or a text. 501 for WhatsApp, and without a carrier."""
    guard = request.app[GUARD]
    return service.told(await service.create(request[SESSION], request[CALLER], agent_id, body, guard))


@routes.patch("/{target_id}", errors=[service.TargetNotFound, service.NoCarrier, service.NoWhatsApp])
async def update_notification_target(
    request: web.Request, target_id: str, body: TargetUpdate
) -> NotificationTarget:
    """Change who is told, when, or how; what is not sent stays as it is."""
    guard = request.app[GUARD]
    return service.told(await service.change(request[SESSION], request[CALLER], target_id, body, guard))


@routes.delete("/{target_id}", errors=[service.TargetNotFound])
async def delete_notification_target(request: web.Request, target_id: str) -> None:
    """Tell somebody no more."""
    row = await service.get(request[SESSION], request[CALLER], target_id)
    await request[SESSION].delete(row)
