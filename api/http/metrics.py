"""Figures for Prometheus, on a port of their own: off unless it is named."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable

from aiohttp import web
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)

from api.keys import METRICS, SETTINGS
from pipelines.contract.events import (
    CallEnded,
    CallEvent,
    CallLost,
    FunctionCalled,
    TurnTaken,
    WarningRaised,
)

_LOG = logging.getLogger(__name__)

_REQUEST_SECONDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
_TURN_SECONDS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1, 1.5, 2, 3, 5, 10)

Look = Callable[[], Awaitable[None]]


class Metrics:
    """What this process counted since it started; the gauges are read when somebody looks."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Histogram(
            "call2me_http_request_seconds",
            "Requests answered, by route.",
            ["method", "route", "status"],
            buckets=_REQUEST_SECONDS,
            registry=self.registry,
        )
        self._turns = Histogram(
            "call2me_turn_seconds",
            "From the end of what a caller said to the answer heard (total), and its parts.",
            ["part"],
            buckets=_TURN_SECONDS,
            registry=self.registry,
        )
        self._ended = Counter(
            "call2me_calls_ended", "Calls that ended, by status.", ["status"], registry=self.registry
        )
        self._warnings = Counter(
            "call2me_call_warnings", "Warnings raised in calls.", ["code"], registry=self.registry
        )
        self._functions = Histogram(
            "call2me_function_seconds",
            "Functions run in calls.",
            ["outcome"],
            buckets=_TURN_SECONDS,
            registry=self.registry,
        )
        self.calls_running = Gauge(
            "call2me_calls_running", "Calls that are not over.", registry=self.registry
        )
        self.calls_unsettled = Gauge(
            "call2me_calls_unsettled", "Calls that ended and are not settled.", registry=self.registry
        )
        self.given_up = Gauge(
            "call2me_given_up",
            "What failed for a day and waits for an administrator (`call2me wallet stuck`).",
            registry=self.registry,
        )
        self.workers_ready = Gauge(
            "call2me_workers_ready", "Workers that could answer a call now.", registry=self.registry
        )
        self._looks: list[Look] = []

    def look_with(self, look: Look) -> None:
        """Have gauges set by `look` each time somebody reads the figures."""
        self._looks.append(look)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request was answered. `route` is its template, so that there are few of them."""
        self._requests.labels(method, route, str(status)).observe(seconds)

    def happened(self, event: CallEvent) -> None:
        """Something new happened in a call."""
        match event:
            case TurnTaken():
                for name, spent in event.turn.latency:
                    if spent is not None:
                        self._turns.labels(name.removesuffix("_ms")).observe(spent / 1000)
            case FunctionCalled():
                outcome = "failed" if event.error is not None else "worked"
                self._functions.labels(outcome).observe(event.duration_ms / 1000)
            case WarningRaised():
                self._warnings.labels(event.code[:64]).inc()
            case CallEnded() if not event.is_overheard:
                self._ended.labels(event.status).inc()
            case CallLost():
                self._ended.labels("lost").inc()

    async def page(self, _request: web.Request) -> web.Response:
        """GET /metrics."""
        for look in self._looks:
            try:
                await look()
            except Exception as error:  # noqa: BLE001 - figures without a database are still figures
                _LOG.warning("a figure could not be read", extra={"error": type(error).__name__})
        return web.Response(
            body=generate_latest(self.registry), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )


async def serving(app: web.Application) -> AsyncIterator[None]:
    """A `cleanup_ctx`: serve the figures, where the api itself listens, on the port that was named."""
    settings = app[SETTINGS]
    if not settings.metrics_port:
        yield
        return
    beside = web.Application()
    beside.router.add_get("/metrics", app[METRICS].page)
    runner = web.AppRunner(beside, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, settings.host, settings.metrics_port).start()
        yield
    finally:
        await runner.cleanup()
