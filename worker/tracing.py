"""Traces of one call's process: what LiveKit tells of sessions, turns and models, without what was said."""

import asyncio
from typing import Any

from livekit.agents import telemetry

from pipelines import tracing
from worker.settings import WorkerSettings

_provider: Any = None  # LiveKit's tracer is one for each process, so this is too


def follow(settings: WorkerSettings) -> None:
    """Send this process's spans to the collector that was named; nothing where none was."""
    global _provider  # noqa: PLW0603
    if settings.otlp_endpoint:
        _provider = tracing.provider(settings.otlp_endpoint, "call2me-worker", settings.worker_id)
        # What is said, prompts and arguments stay here, whatever the collector is.
        telemetry.set_tracer_provider(_provider, allow_pii=False)


async def flush() -> None:
    """Send what is left, before the process ends; a collector that is away is not waited for long."""
    if _provider is not None:
        await asyncio.to_thread(_provider.force_flush, tracing.FLUSH_MS)
