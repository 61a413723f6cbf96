"""Whether the page that asks may use what its owner put on a list of pages."""

from collections.abc import Sequence

from aiohttp import web

from api.http.callers import identify
from api.http.errors import Forbidden, Unauthorized
from api.http.links import base_url
from api.keys import CROSS_ORIGIN, SETTINGS
from api.widgets import origins


class OriginRefused(Forbidden):
    """This may not be used from this page; its owner can add the page to allowed_domains"""


async def require_origin(request: web.Request, allowed_domains: Sequence[str], owner_id: str) -> None:
    """Raise where the page that asks is not on the list.

    Our own pages always are. A program sends no Origin: where there is a list, it may only read the
    configuration, unless it carries the owner's credentials.
    """
    origin = request.headers.get("Origin", "")
    if not allowed_domains or (not origin and request.method in {"GET", "HEAD"}):
        return
    if origin and (origin in _own(request) or origins.is_allowed(origin, list(allowed_domains))):
        return
    if not origin and await _is_owner(request, owner_id):
        return
    request.pop(CROSS_ORIGIN, None)  # the browser keeps even the refusal from such a page
    raise OriginRefused


def _own(request: web.Request) -> set[str]:
    return {base_url(request), request.app[SETTINGS].public_url}


async def _is_owner(request: web.Request, owner_id: str) -> bool:
    try:
        return (await identify(request)).owner_id == owner_id
    except Unauthorized:
        return False
