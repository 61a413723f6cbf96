"""Operations of the contract that are left out on purpose: each answers 501 and says so.

They stand in no OpenAPI document, which says what works; `docs/compatibility.md` lists them.
"""

from aiohttp import web
from aiohttp.typedefs import Handler

from api.http.errors import NotSupported

EXCLUDED: dict[str, str] = {
    "/v1/interpreters": "Live interpreting is",
    "/v1/t": "Live interpreting is",
    "/v1/ext": "The browser extension is",
    "/v1/referrals": "The referral programme is",
    "/v1/copilot": "The copilot is",
    "/v1/payments/webhooks/iyzico": "Payments by iyzico are",
}
"""Prefix of the paths, and what is left out."""


_LEFT_OUT = "left out of Call2Me Runtime on purpose: docs/compatibility.md says what is served."


class LeftOut(NotSupported):
    """This is left out of Call2Me Runtime on purpose: docs/compatibility.md says what is served"""


def install(app: web.Application) -> None:
    """Answer for every path below the prefixes, with every method."""
    for prefix, what in EXCLUDED.items():
        handler = _refusing(what)
        app.router.add_route("*", prefix, handler)
        app.router.add_route("*", f"{prefix}/{{rest:.*}}", handler)


def _refusing(what: str) -> Handler:
    async def refuse(_: web.Request) -> web.StreamResponse:
        raise LeftOut(f"{what} {_LEFT_OUT}")

    return refuse
