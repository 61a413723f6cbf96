"""/v1/demo: a call for anybody who asks."""

from aiohttp import web

from api.http.rate_limits import Limit
from api.http.routes import Routes
from api.public import service
from api.public.schemas import DemoCall, DemoCallRequest

routes = Routes("/v1/demo", tag="Public", access="public")
DEMO_LIMIT = Limit("demo", 10, 3600)
"""Of one address: each request may make a stranger's telephone ring."""


@routes.post("/call", limit=DEMO_LIMIT, errors=[service.NoPhoneLine])
async def request_demo_call(request: web.Request, body: DemoCallRequest) -> DemoCall:
    """Ask to be called. Until this server has a phone line it answers 503 `no phone line`."""
    return service.demo_call(body)
