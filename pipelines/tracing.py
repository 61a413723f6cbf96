"""OpenTelemetry traces of calls and requests, with the GenAI names and without a word that was said."""

from importlib.util import find_spec
from typing import Any

from pipelines.environment import SettingsError

FLUSH_MS = 2_000


def check(endpoint: str) -> str:
    """The endpoint as it was named. Raises `SettingsError` where traces could not be sent to it."""
    if endpoint and find_spec("opentelemetry.exporter") is None:
        raise SettingsError(
            "OTEL_EXPORTER_OTLP_ENDPOINT needs a package more: pip install 'call2me-runtime[otlp]'."
        )
    return endpoint.rstrip("/")


def provider(endpoint: str, service: str, instance: str) -> Any:
    """An OpenTelemetry `TracerProvider` that sends spans to a collector, in batches, from a thread."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    made = TracerProvider(
        resource=Resource.create({"service.name": service, "service.instance.id": instance}),
        shutdown_on_exit=False,
    )
    made.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{endpoint}/v1/traces", timeout=5)))
    return made
