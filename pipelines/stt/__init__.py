"""Build what hears words with a key: one module for each provider, imported when it is asked for.

What hears on this machine is in `pipelines.local`.
"""

import importlib
from dataclasses import dataclass
from typing import Any, cast

import aiohttp
from livekit.agents import stt

from pipelines.providers import ProviderSettings


@dataclass(frozen=True)
class Listening:
    """What one recogniser is to be. `options` are of the provider's own type in `pipelines.options`."""

    settings: ProviderSettings
    model: str
    language: str
    key_terms: tuple[str, ...]
    options: Any
    http: aiohttp.ClientSession | None = None
    """Needed only outside a LiveKit job, which has a session of its own."""


def build(provider: str, wanted: Listening) -> stt.STT[Any]:
    """The provider's recogniser. Raises `ImportError` where its extra is not installed."""
    module = importlib.import_module(f"pipelines.stt.{provider}")
    return cast("stt.STT[Any]", module.build(wanted))


def ends_turns(recogniser: stt.STT[Any]) -> bool:
    """True where the recogniser decides itself that a turn is over, and says so with END_OF_SPEECH."""
    return bool(getattr(recogniser, "ends_turns", False))
