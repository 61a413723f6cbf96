"""How this library reaches the network: through a function that whoever uses it hands down."""

from collections.abc import Mapping
from typing import Any, Protocol


class Answer(Protocol):
    """What an address answered."""

    @property
    def status(self) -> int:
        """Of HTTP."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Whatever the case of their names."""

    @property
    def body(self) -> bytes:
        """As much of it as was allowed."""

    @property
    def is_cut(self) -> bool:
        """Whether there was more."""

    @property
    def url(self) -> str:
        """The address that answered, after redirects."""


class Ask(Protocol):
    """One request, guarded: `pipelines.outbound.Guard.fetch` is one.

    It bounds time, body and redirects, decides which addresses may be reached at all, and fails with
    exceptions of which `str` is a sentence.
    """

    async def __call__(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        timeout_seconds: float = 10.0,
        max_bytes: int = 0,
        follow: int = 0,
    ) -> Answer:
        """Ask once."""
