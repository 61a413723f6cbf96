"""/v1/users"""

from typing import Any

from aiohttp import web

from api.http.routes import Routes
from api.keys import CALLER, SESSION
from api.users import service
from api.users.schemas import OnboardingUpdate, UserProfile, UserUpdate

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


@routes.patch("/me/onboarding")
async def update_onboarding(request: web.Request, body: OnboardingUpdate) -> dict[str, Any]:
    """Note which steps of the checklist are done or dismissed, or hide it; what is not sent stays."""
    return await service.note_onboarding(request[SESSION], request[CALLER], body)
