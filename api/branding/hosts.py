"""Under whose name a request came in: an owner's own domain, or one of ours."""

from urllib.parse import urlsplit

from aiohttp import web

from api.branding import service
from api.keys import SESSION, SETTINGS
from api.settings import Settings


def ours(settings: Settings) -> frozenset[str]:
    """Our own names, which no brand can have."""
    return frozenset({(urlsplit(settings.public_url).hostname or "").lower(), *settings.own_hosts})


async def is_home(request: web.Request, owner_id: str) -> bool:
    """Whether visitors find this owner's things under the name that they used.

    Under our own names, and under one that is nobody's, they find everybody's; under the domain of a brand
    only its owner's and those of the owner's members. Our name is what the `Host` header says: a proxy in
    front of us passes it on.
    """
    host = request.host.partition(":")[0].rstrip(".").lower()
    if "." not in host or host in ours(request.app[SETTINGS]):
        return True
    session = request[SESSION]
    found = await service.owner_of_domain(session, host)
    return found is None or found == await service.head_of(session, owner_id)


async def is_own_page(request: web.Request, origin: str, owner_id: str) -> bool:
    """Whether a browser's Origin is a page under this owner's own domain."""
    brand = await service.of_account(request[SESSION], owner_id)
    parts = urlsplit(origin)
    is_web = parts.scheme in {"https", "http"} and not parts.path and not parts.username
    own = brand.custom_domain
    return is_web and own is not None and parts.hostname == own and own not in ours(request.app[SETTINGS])
