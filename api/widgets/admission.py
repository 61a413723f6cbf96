"""What visitors are shown, where they ask for it, and whether the page that asks may use it."""

from collections.abc import Sequence

from aiohttp import web

from api.branding import hosts
from api.http.callers import identify
from api.http.errors import Forbidden, Unauthorized
from api.http.links import base_url
from api.keys import CROSS_ORIGIN, SESSION, SETTINGS
from api.widgets import origins, service
from api.widgets.table import WidgetRow


class OriginRefused(Forbidden):
    """This may not be used from this page; its owner can add the page to allowed_domains"""


async def shown(request: web.Request, widget_id: str) -> WidgetRow:
    """A widget that visitors may see; under the domain of another owner there is none."""
    return await _here(request, await service.shown(request[SESSION], widget_id))


async def of_slug(request: web.Request, slug: str) -> WidgetRow:
    """The widget whose page this is; under the domain of another owner there is none."""
    return await _here(request, await service.of_slug(request[SESSION], slug))


async def require_origin(request: web.Request, allowed_domains: Sequence[str], owner_id: str) -> None:
    """Raise where the page that asks is not on the list.

    Our own pages always are, and those under the owner's own domain. A program sends no Origin: where
    there is a list, it may only read the configuration, unless it carries the owner's credentials.
    """
    origin = request.headers.get("Origin", "")
    if not allowed_domains or (not origin and request.method in {"GET", "HEAD"}):
        return
    if origin and (origin in _own(request) or origins.is_allowed(origin, list(allowed_domains))):
        return
    if await (hosts.is_own_page(request, origin, owner_id) if origin else _is_owner(request, owner_id)):
        return
    request.pop(CROSS_ORIGIN, None)  # the browser keeps even the refusal from such a page
    raise OriginRefused


async def _here(request: web.Request, row: WidgetRow) -> WidgetRow:
    if not await hosts.is_home(request, row.owner_id):
        raise service.WidgetNotFound
    return row


def _own(request: web.Request) -> set[str]:
    return {base_url(request), request.app[SETTINGS].public_url}


async def _is_owner(request: web.Request, owner_id: str) -> bool:
    try:
        return (await identify(request)).owner_id == owner_id
    except Unauthorized:
        return False
