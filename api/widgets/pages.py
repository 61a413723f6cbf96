"""What a browser loads of a widget: the script, the spoken greeting, a preview, the page at /a/{slug}."""

from html import escape
from pathlib import Path

from aiohttp import web

from api.branding import service as branding
from api.http.errors import NotFound
from api.http.rate_limits import UNLIMITED, Limit
from api.http.routes import Routes
from api.keys import SESSION, SETTINGS
from api.system.pages import DIST, PageNotBuilt, policy, written
from api.widgets import admission, service
from api.widgets.schemas import WidgetId, shown_colour
from api.widgets.table import WidgetRow

routes = Routes("/v1/widgets", tag="Widgets", access="public")
public = Routes("", tag="Widgets", access="public")
JAVASCRIPT, HTML, MP3 = "text/javascript", "text/html", "audio/mpeg"
PAGE_LIMIT = Limit("widget page", 300)
"""Of one address; nothing of it is dear, but each asks the database."""

_FOREIGN = {
    # Any page may load it: whether it may be used there, the list of origins decides.
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Access-Control-Allow-Origin": "*",
}


class GreetingNotFound(NotFound):
    """This widget has no spoken greeting; its owner can have one made with regenerate-greeting-audio"""


@routes.get(
    "/{widget_id}/embed.js",
    limit=PAGE_LIMIT,
    errors=[service.WidgetNotFound, PageNotBuilt],
    produces=[JAVASCRIPT],
)
async def get_widget_script(request: web.Request, widget_id: WidgetId) -> web.StreamResponse:
    """The script that shows a widget on any page: `<script src="…/embed.js" async></script>`."""
    await admission.shown(request, widget_id)
    return script(request, "embed.js")


@routes.get(
    "/{widget_id}/greeting.mp3",
    limit=PAGE_LIMIT,
    errors=[service.WidgetNotFound, GreetingNotFound],
    produces=[MP3],
)
async def get_widget_greeting(request: web.Request, widget_id: WidgetId) -> web.StreamResponse:
    """The greeting, spoken."""
    session = request[SESSION]
    row = await admission.shown(request, widget_id)
    if (greeting := await service.greeting(session, row.id)) is None:
        raise GreetingNotFound
    # A configuration names each greeting by an address of its own; any other address is asked for anew.
    is_exact = request.query.get("v") == greeting.version
    kept = "public, max-age=31536000, immutable" if is_exact else "no-cache"
    return web.Response(body=greeting.mp3, content_type=MP3, headers={**_FOREIGN, "Cache-Control": kept})


@routes.get("/{widget_id}/preview", limit=PAGE_LIMIT, errors=[service.WidgetNotFound], produces=[HTML])
async def preview_widget(request: web.Request, widget_id: WidgetId) -> web.StreamResponse:
    """A page with the widget on it, as a visitor's page would show it."""
    row = await admission.shown(request, widget_id)
    return await _page(request, row, "")


@public.get(
    "/v1/a/{slug}",
    aliases=["//a/{slug}"],
    limit=PAGE_LIMIT,
    errors=[service.WidgetNotFound],
    produces=[HTML],
)
async def get_public_page(request: web.Request, slug: str) -> web.StreamResponse:
    """The agent's own page: the widget, over the whole window."""
    row = await admission.of_slug(request, slug)
    return await _page(request, row, "page")


@public.get("/widget/voice.js", limit=UNLIMITED, spec=False)
async def get_voice_script(request: web.Request) -> web.StreamResponse:
    """What the script loads when somebody begins to talk."""
    return script(request, "voice.js")


def script(request: web.Request, name: str) -> web.StreamResponse:
    """One of the built scripts, for pages of any site."""
    path: Path = request.app[DIST] / "widget" / name
    if not path.is_file():
        raise PageNotBuilt
    # Its address stays the same for ever: browsers ask each time whether theirs is still the newest.
    headers = {"Content-Type": f"{JAVASCRIPT}; charset=utf-8", "Cache-Control": "no-cache"}
    return web.FileResponse(path, headers={**_FOREIGN, **headers})


async def _page(request: web.Request, row: WidgetRow, mode: str) -> web.Response:
    rules = policy(request.app[SETTINGS].livekit.public_url) | {"img-src": "'self' data: https: http:"}
    brand = await branding.of_account(request[SESSION], row.owner_id)
    title = f"{row.name} · {brand.app_name}" if brand.app_name else row.name
    shown = {
        "language": row.language,
        "title": title,
        "icon": brand.favicon_url or "data:,",
        "colour": shown_colour(row.primary_color, brand),
        "widget_id": row.id,
        "mode": mode,
    }
    return web.Response(
        text=_HTML.format(**{name: escape(value, quote=True) for name, value in shown.items()}),
        content_type=HTML,
        charset="utf-8",
        headers={
            "Content-Security-Policy": written(rules),
            "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
            "Cache-Control": "no-cache",
        },
    )


_HTML = """<!doctype html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<meta name="theme-color" content="{colour}">
<link rel="icon" href="{icon}">
</head>
<body>
<noscript>{title}: this page needs JavaScript.</noscript>
<script src="/v1/widgets/{widget_id}/embed.js" data-mode="{mode}"></script>
</body>
</html>
"""
