"""Build what speaks with a key: one module for each provider, imported when it is asked for.

The voices of this machine are in `pipelines.local`.
"""

import importlib
from dataclasses import dataclass
from typing import Any, cast

import aiohttp
from livekit.agents import tts

from pipelines.providers import ProviderSettings


@dataclass(frozen=True)
class Speaking:
    """What one voice is to be. `options` are of the provider's own type in `pipelines.options`."""

    settings: ProviderSettings
    voice: str
    """The provider's own name of it; empty: its usual one for the language."""
    language: str
    speed: float
    options: Any
    http: aiohttp.ClientSession | None = None
    """Needed only outside a LiveKit job, which has a session of its own."""


def build(provider: str, wanted: Speaking) -> tts.TTS[Any]:
    """The provider's voice. Raises `ImportError` where its extra is not installed."""
    module = importlib.import_module(f"pipelines.tts.{provider}")
    return cast("tts.TTS[Any]", module.build(wanted))
