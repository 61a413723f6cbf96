"""The operator's embedding server: bases may choose its models, and everybody who searches them asks it."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

# Settings are read by the command line too, which answers at once: aiohttp and numpy come when they are used.
if TYPE_CHECKING:
    from kb.openai_embeddings import OpenAiEmbedder
    from pipelines.outbound import Guard

OPENAI = "https://api.openai.com/v1"
PREFIX = "openai/"
"""Before the name of a model, in the embedder that a base is asked to have."""


@dataclass(frozen=True)
class EmbeddingServer:
    """Where `openai/<model>` is asked, by the settings of who runs this machine: never an owner's address."""

    base_url: str
    api_key: str = field(default="", repr=False)

    def guard(self) -> "Guard":
        """Connections to this server and to public ones. Close it at the end."""
        from pipelines.outbound import Guard  # noqa: PLC0415

        return Guard([urlsplit(self.base_url).netloc.rpartition("@")[2]])

    async def connected(self, guard: "Guard", model: str) -> "OpenAiEmbedder":
        """One of its models, for many texts. Raises `EmbedderFailed`."""
        from kb.openai_embeddings import OpenAiEmbedder  # noqa: PLC0415

        return await OpenAiEmbedder.connected(guard.fetch, model=model, **self._asked())

    def of(self, guard: "Guard", space: str, **options: Any) -> "OpenAiEmbedder | None":
        """The embedder that made a space; None where it was not made by a model of this server."""
        from kb.openai_embeddings import OpenAiEmbedder, place_of  # noqa: PLC0415

        if (place := place_of(space, self.base_url)) is None:
            return None
        model, dimensions = place
        return OpenAiEmbedder(guard.fetch, model=model, dimensions=dimensions, **self._asked(), **options)

    def _asked(self) -> dict[str, Any]:
        from pipelines.outbound import NoAnswer  # noqa: PLC0415

        return {"base_url": self.base_url, "api_key": self.api_key, "failures": (NoAnswer,)}


class ServedEmbedder:
    """A space of the server's, with connections of its own: for a call, which asks short questions."""

    def __init__(self, server: EmbeddingServer, space: str, timeout_seconds: float) -> None:
        """Raises KeyError for a space that this server has not."""
        self._guard = server.guard()
        options = {"timeout_seconds": timeout_seconds, "tries": 1}
        if (found := server.of(self._guard, space, **options)) is None:
            raise KeyError(space)
        self.space, self.dimensions, self.embed = space, found.dimensions, found.embed

    async def aclose(self) -> None:
        """Drop the connections."""
        await self._guard.close()
