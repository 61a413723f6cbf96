"""/v1/users"""

from aiohttp import web

from api.http.routes import Routes
from api.keys import CALLER, SESSION
from api.users import service
from api.users.schemas import UserProfile, UserUpdate

routes = Routes("/v1/users", tag="Users")


@routes.get("/me", aliases=["//v1/auth/me"])
async def get_me(request: web.Request) -> UserProfile:
    """Get the user whose credentials these are."""
    return await service.profile(request[SESSION], await service.get(request[SESSION], request[CALLER]))


@routes.patch("/me")
async def update_me(request: web.Request, body: UserUpdate) -> UserProfile:
    """Change one's own profile; what is not sent stays as it is."""
    changed = await service.update(request[SESSION], request[CALLER], body)
    return await service.profile(request[SESSION], changed)
