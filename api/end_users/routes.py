"""/v1/end-users: tokens for the people of somebody's own application."""

from aiohttp import web

from api.agents.service import AgentNotFound
from api.end_users import service
from api.end_users.schemas import EndUser, EndUserToken, ExternalId, NewEndUserToken, Revoked, TokenCreate
from api.end_users.service import EndUserTokenNotFound, TooManyTokens
from api.http.callers import ANY_SCOPE
from api.http.errors import Forbidden
from api.http.routes import Routes
from api.keys import CALLER, SESSION

routes = Routes("/v1/end-users", tag="End users")


class NotAnEndUser(Forbidden):
    """Only an end-user token stands for an end user"""


@routes.get("/me", errors=[NotAnEndUser], end_user=ANY_SCOPE)
async def get_end_user(request: web.Request) -> EndUser:
    """Say whom this end-user token stands for, and what it may do."""
    if request[CALLER].end_user is None:
        raise NotAnEndUser
    return EndUser.of(request[CALLER])


@routes.post("/{external_id}/tokens", errors=[AgentNotFound, TooManyTokens])
async def create_end_user_token(
    request: web.Request, external_id: ExternalId, body: TokenCreate
) -> NewEndUserToken:
    """Make a token for an end user. It is in this reply and nowhere else, ever."""
    return NewEndUserToken.made(*await service.mint(request[SESSION], request[CALLER], external_id, body))


@routes.get("/{external_id}/tokens")
async def list_end_user_tokens(request: web.Request, external_id: ExternalId) -> list[EndUserToken]:
    """List an end user's tokens, newest first, until a while after they expired."""
    rows = await service.every(request[SESSION], request[CALLER], external_id)
    return [EndUserToken.of(row) for row in rows]


@routes.delete("/{external_id}/tokens", status=200)
async def revoke_end_user_tokens(request: web.Request, external_id: ExternalId) -> Revoked:
    """Revoke all of an end user's tokens: they are refused from now on."""
    return Revoked(revoked=await service.revoke_all(request[SESSION], request[CALLER], external_id))


@routes.delete("/{external_id}/tokens/{token_id}", errors=[EndUserTokenNotFound])
async def revoke_end_user_token(request: web.Request, external_id: ExternalId, token_id: str) -> None:
    """Revoke one token: it is refused from now on."""
    await service.revoke(request[SESSION], request[CALLER], external_id, token_id)
