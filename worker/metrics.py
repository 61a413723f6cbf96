"""Figures of this worker for Prometheus, on a port of their own: off unless it is named."""

from collections.abc import Callable

from pipelines.contract.websocket import Status


class Metrics:
    """Served from a thread until the process ends; reads nothing but what `status` answers."""

    def __init__(self, port: int, status: Callable[[], Status], waiting: Callable[[], int]) -> None:
        """`waiting` says how many calls have something that the api has not taken. Raises `OSError`."""
        # Ten megabytes that a worker without figures need not have.
        from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server  # noqa: PLC0415

        registry = CollectorRegistry()
        ready = Gauge("call2me_worker_ready", "1 when a call could be answered now.", registry=registry)
        ready.set_function(lambda: float(status().is_ready))
        calls = Gauge("call2me_worker_calls", "Calls here, or not yet told to the end.", registry=registry)
        calls.set_function(lambda: float(len(status().call_ids)))
        spools = Gauge(
            "call2me_worker_calls_waiting", "Calls whose events wait for the api.", registry=registry
        )
        spools.set_function(lambda: float(waiting()))
        self._ends = Counter(
            "call2me_worker_process_ends",
            "Processes of this worker that ended unasked.",
            ["part"],
            registry=registry,
        )
        self._server, _ = start_http_server(port, "127.0.0.1", registry)

    def ended(self, part: str) -> None:
        """A part of the worker died and is started again."""
        self._ends.labels(part).inc()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
