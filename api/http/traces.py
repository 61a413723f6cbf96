"""A span for each request, for an OpenTelemetry collector: off unless one is named."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from api.keys import SETTINGS
from pipelines import tracing


def install(app: web.Application) -> None:
    """Trace every request of this application, until it stops."""
    provider = tracing.provider(app[SETTINGS].otlp_endpoint, "call2me-api", str(app[SETTINGS].port))
    app.middlewares.insert(0, _traced(provider.get_tracer("call2me.api")))

    async def until_stopped(_: web.Application) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(provider.force_flush, tracing.FLUSH_MS)
        await asyncio.to_thread(provider.shutdown)

    app.cleanup_ctx.append(until_stopped)


def _traced(tracer: Any) -> Any:
    from opentelemetry.trace import SpanKind  # noqa: PLC0415 - only where there is a collector

    @web.middleware
    async def traced(request: web.Request, handler: Handler) -> web.StreamResponse:
        # The route, not the path: a path may carry a token.
        resource = request.match_info.route.resource
        route = resource.canonical if resource else ""
        attributes = {"http.request.method": request.method, "http.route": route}
        with tracer.start_as_current_span(
            f"{request.method} {route}", kind=SpanKind.SERVER, attributes=attributes
        ) as span:
            response = await handler(request)
            span.set_attribute("http.response.status_code", response.status)
            return response

    return traced
