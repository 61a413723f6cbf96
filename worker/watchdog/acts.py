"""What a watcher may do about what it sees."""

from typing import Protocol


class Acts(Protocol):
    """The hands of the watchers. Nothing here waits, and nothing raises."""

    def warn(self, code: str, message: str) -> None:
        """Put a warning into the call's timeline."""

    def remind(self, count: int) -> None:
        """Ask whether the caller is still there; for the `count`th time, from 0."""

    def warn_of_end(self) -> None:
        """Say that time is running out."""

    def reassure(self) -> None:
        """Say that it takes a moment."""

    def answer_again(self) -> None:
        """Throw away the answer that does not come, say that it takes a moment, and ask the engine anew."""

    def apologise(self) -> None:
        """Say that something went wrong, after throwing away what is stuck."""
