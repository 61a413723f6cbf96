"""/v1/api-keys"""

from aiohttp import web

from api.api_keys import service
from api.api_keys.schemas import ApiKey, ApiKeyCreate, NewApiKey
from api.api_keys.service import ApiKeyNotFound, ApiKeyStillActive
from api.http.routes import Routes
from api.keys import CALLER, SESSION

routes = Routes("/v1/api-keys", tag="API keys")


@routes.get()
async def list_api_keys(request: web.Request) -> list[ApiKey]:
    """List API keys, newest first."""
    return [ApiKey.of(row) for row in await service.every(request[SESSION], request[CALLER])]


@routes.post(status=201, location="/v1/api-keys/{key_id}")
async def create_api_key(request: web.Request, body: ApiKeyCreate) -> NewApiKey:
    """Make an API key. The key is in this reply and nowhere else, ever."""
    row, key = await service.create(request[SESSION], request[CALLER].owner_id, body)
    return NewApiKey.of(row, key)


@routes.get("/{key_id}", errors=[ApiKeyNotFound])
async def get_api_key(request: web.Request, key_id: str) -> ApiKey:
    """Get an API key, without the key."""
    return ApiKey.of(await service.get(request[SESSION], request[CALLER], key_id))


@routes.delete("/{key_id}", errors=[ApiKeyNotFound])
async def revoke_api_key(request: web.Request, key_id: str) -> None:
    """Revoke an API key: it is refused from now on."""
    await service.revoke(request[SESSION], request[CALLER], key_id)


@routes.delete("/{key_id}/permanent", errors=[ApiKeyNotFound, ApiKeyStillActive])
async def remove_api_key(request: web.Request, key_id: str) -> None:
    """Forget a revoked API key."""
    await service.remove(request[SESSION], request[CALLER], key_id)
