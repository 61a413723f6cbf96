"""/v1/users/me/branding, and the brand of a domain for whoever asks."""

from typing import Annotated

from aiohttp import web
from pydantic import Field

from api.branding import hosts, service
from api.branding.schemas import BrandingConfig
from api.branding.service import DomainTaken, NoBrand
from api.http.routes import Routes
from api.keys import CALLER, SESSION, SETTINGS
from api.users.service import OwnersOnly

routes = Routes("/v1/users/me/branding", tag="Users")
domains = Routes("/v1/branding", tag="Public", access="public")


@routes.get()
async def get_branding(request: web.Request) -> BrandingConfig:
    """Get your brand; members get that of their owner."""
    return await service.of_caller(request[SESSION], request[CALLER])


@routes.put(errors=[OwnersOnly, DomainTaken])
async def set_branding(request: web.Request, body: BrandingConfig) -> BrandingConfig:
    """Replace your brand; what is not sent is as it comes."""
    ours = hosts.ours(request.app[SETTINGS])
    return await service.replace(request[SESSION], request[CALLER], body, ours=ours)


@domains.get("/{domain}", errors=[NoBrand])
async def get_branding_of_domain(
    request: web.Request, domain: Annotated[str, Field(max_length=255)]
) -> BrandingConfig:
    """Get the brand of a domain."""
    return await service.of_domain(request[SESSION], domain.strip().rstrip(".").lower())
