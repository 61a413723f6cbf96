"""What the vendors' stand-ins answer, and what they were asked."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.support.wire.faults import Fault

KEY = "provider-key"


@dataclass
class ProviderServer:
    """What it answers, and what it was asked. `status` other than 200 refuses everything of OpenAI's."""

    url: str
    transcript: str = "what are your hours"
    answer: str = "We are open from nine to five."
    continuation: str = "to five."
    """What a model says that is asked to go on."""
    call: tuple[str, dict[str, Any]] | None = None
    """A function to call before answering."""
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """Several at once."""
    status: int = 200
    faults: dict[str, Fault] = field(default_factory=dict)
    """How `chat`, `speech`, `transcriptions`, `listen` and `speak` fail."""
    listed: int = 0
    """How often Gemini's models were asked for, which is how a connection to it is opened."""
    chats: list[dict[str, Any]] = field(default_factory=list)
    speeches: list[dict[str, Any]] = field(default_factory=list)
    transcriptions: list[dict[str, Any]] = field(default_factory=list)
    listens: list[dict[str, Any]] = field(default_factory=list)
    realtime_sessions: list[dict[str, Any]] = field(default_factory=list)
    speaks: list[dict[str, Any]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def refuse(self, status: int, body: Mapping[str, Any], message: str) -> web.Response:
        """As the vendor would, and for the test to see."""
        self.refused.append(message)
        return web.json_response(body, status=status)
