"""What a browser loads: the page at /, the reference at /docs, and their assets, as Vite built them."""

from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import web

import api
from api.http.errors import NotFound, Unavailable
from api.http.rate_limits import UNLIMITED
from api.http.routes import Routes
from api.keys import SETTINGS

routes = Routes("", tag="Pages", access="public", is_in_spec=False)
DIST: web.AppKey[Path] = web.AppKey("dist")
_POLICIES: web.AppKey[dict[str, str]] = web.AppKey("policies")


class PageNotBuilt(Unavailable):
    """The pages are not built; run `make page` in the checkout, or install a released wheel"""


@routes.get("/", limit=UNLIMITED)
async def get_page(request: web.Request) -> web.StreamResponse:
    """The page one talks through."""
    return _page(request, "index.html")


@routes.get("/docs", limit=UNLIMITED)
async def get_docs(request: web.Request) -> web.StreamResponse:
    """The API's reference."""
    return _page(request, "docs.html")


@routes.get(r"/assets/{name:[\w\-][\w.\-]*}", limit=UNLIMITED)
async def get_asset(request: web.Request, name: str) -> web.StreamResponse:
    """A script, a style, a font; its name changes with its content."""
    return _file(
        request.app[DIST] / "assets" / name, {"Cache-Control": "public, max-age=31536000, immutable"}
    )


@routes.get(r"/{name:[\w\-]+\.(?:svg|ico|png|txt|webmanifest)}", limit=UNLIMITED)
async def get_root_file(request: web.Request, name: str) -> web.StreamResponse:
    """An icon and the like, which browsers look for at the root."""
    return _file(request.app[DIST] / name, {"Cache-Control": "public, max-age=3600"})


def install(app: web.Application, dist: Path | None = None) -> None:
    """Say where the built pages are, and what they may do."""
    app[DIST] = dist or Path(next(iter(api.__path__))) / "web" / "dist"
    page = policy(app[SETTINGS].livekit.public_url)
    reference = {**page, "connect-src": "'self'"}
    app[_POLICIES] = {"index.html": written(page), "docs.html": written(reference)}


def policy(livekit_url: str) -> dict[str, str]:
    """Everything from our own host, and nothing else but the way to livekit-server."""
    host = urlsplit(livekit_url).netloc
    scheme = "s" if livekit_url.startswith(("wss", "https")) else ""
    return {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "font-src": "'self'",
        "media-src": "'self' blob:",
        "worker-src": "'none'",
        "manifest-src": "'self'",
        "connect-src": f"'self' ws{scheme}://{host} http{scheme}://{host}",
        "base-uri": "'none'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
    }


def written(policy: dict[str, str]) -> str:
    return "; ".join(f"{name} {value}" for name, value in policy.items())


def _page(request: web.Request, name: str) -> web.StreamResponse:
    path = request.app[DIST] / name
    if not path.is_file():
        raise PageNotBuilt
    return _file(
        path,
        {
            "Content-Security-Policy": request.app[_POLICIES][name],
            "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
            "Cache-Control": "no-cache",
        },
    )


def _file(path: Path, headers: dict[str, str]) -> web.StreamResponse:
    if not path.is_file():
        raise NotFound
    return web.FileResponse(path, headers=headers)
