"""Where this api is, for the links that its replies carry."""

from aiohttp import web

from api.keys import SETTINGS

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


def base_url(request: web.Request) -> str:
    """Where this api is for whoever asks: on this machine by the name they used, else its public address."""
    if request.url.host in _LOOPBACK:
        return str(request.url.origin())
    return request.app[SETTINGS].public_url
