"""Under whose name a request came in: an owner's own domain, or ours."""

from urllib.parse import urlsplit

from aiohttp import web

from api.branding import service
from api.keys import SESSION, SETTINGS


def ours(public_url: str) -> str:
    """Our own name, which no brand can have."""
    return (urlsplit(public_url).hostname or "").lower()


async def is_home(request: web.Request, owner_id: str) -> bool:
    """Whether visitors find this owner's things under the name that they used.

    Under our own name, and under one that is nobody's, they find everybody's; under the domain of a brand
    only its owner's and those of the owner's members. Our name is what the `Host` header says: a proxy in
    front of us passes it on.
    """
    host = request.host.partition(":")[0].rstrip(".").lower()
    if "." not in host or host == ours(request.app[SETTINGS].public_url):
        return True
    session = request[SESSION]
    found = await service.owner_of_domain(session, host)
    return found is None or found == await service.head_of(session, owner_id)


async def is_own_page(request: web.Request, origin: str, owner_id: str) -> bool:
    """Whether a browser's Origin is a page under this owner's own domain."""
    brand = await service.of_account(request[SESSION], owner_id)
    parts = urlsplit(origin)
    is_web = parts.scheme in {"https", "http"} and not parts.path and not parts.username
    return is_web and brand.custom_domain is not None and parts.hostname == brand.custom_domain
