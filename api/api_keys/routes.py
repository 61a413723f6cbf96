"""/v1/api-keys"""

from aiohttp import web

from api.api_keys import service, usage
from api.api_keys.schemas import ApiKey, ApiKeyCreate, ApiKeyUsage, NewApiKey, Scope, UsageQuery
from api.api_keys.service import ApiKeyNotFound, ApiKeyStillActive, MoreThanYours
from api.db.columns import now
from api.db.engine import after_commit
from api.http import scopes
from api.http.routes import Routes
from api.keys import CALLER, KEY_USAGE, KNOWN_KEYS, MOUNTED, SESSION

routes = Routes("/v1/api-keys", tag="API keys")


@routes.get()
async def list_api_keys(request: web.Request) -> list[ApiKey]:
    """List API keys, newest first."""
    return [ApiKey.of(row) for row in await service.every(request[SESSION], request[CALLER])]


@routes.get("/scopes")
async def list_scopes(request: web.Request) -> list[Scope]:
    """List what a key can be allowed to do, and which operations that opens."""
    mounted = request.app[MOUNTED]
    known = scopes.table(mounted)
    return [Scope(scope=scope, operations=operations) for scope, operations in known.items()]


@routes.post(status=201, errors=[MoreThanYours], location="/v1/api-keys/{key_id}")
async def create_api_key(request: web.Request, body: ApiKeyCreate) -> NewApiKey:
    """Make an API key. The key is in this reply and nowhere else, ever."""
    mounted = request.app[MOUNTED]
    known = scopes.table(mounted)
    row, key = await service.create_for(request[SESSION], request[CALLER], body, known)
    return NewApiKey.of(row, key)


@routes.get("/{key_id}", errors=[ApiKeyNotFound])
async def get_api_key(request: web.Request, key_id: str) -> ApiKey:
    """Get an API key, without the key."""
    return ApiKey.of(await service.get(request[SESSION], request[CALLER], key_id))


@routes.delete("/{key_id}", errors=[ApiKeyNotFound])
async def revoke_api_key(request: web.Request, key_id: str) -> None:
    """Revoke an API key: it is refused from now on."""
    await service.revoke(request[SESSION], request[CALLER], key_id)
    after_commit(request[SESSION], request.app[KNOWN_KEYS].forget)


@routes.delete("/{key_id}/permanent", errors=[ApiKeyNotFound, ApiKeyStillActive])
async def remove_api_key(request: web.Request, key_id: str) -> None:
    """Forget a revoked API key."""
    await service.remove(request[SESSION], request[CALLER], key_id)


@routes.get("/{key_id}/usage", errors=[ApiKeyNotFound])
async def get_api_key_usage(request: web.Request, key_id: str, query: UsageQuery) -> ApiKeyUsage:
    """Get what a key was used for in some days."""
    row = await service.get(request[SESSION], request[CALLER], key_id)
    counted, began = await usage.of_key(request[SESSION], request.app[KEY_USAGE], row.id, query.days)
    return ApiKeyUsage(
        total_requests=counted.requests,
        successful_requests=counted.requests - counted.failed,
        failed_requests=counted.failed,
        avg_duration_ms=round(counted.duration_ms / counted.requests, 2) if counted.requests else 0.0,
        period_start=began,
        period_end=now(),
    )
