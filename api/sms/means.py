"""What durable work with messages takes besides what all of it may touch: laid down before it is launched."""

from dataclasses import dataclass

from api.chats.talks import Talks
from api.settings import Settings


@dataclass(frozen=True)
class Means:
    """Who thinks of answers, and how this server is set up."""

    talks: Talks
    settings: Settings

    @property
    def events_url(self) -> str:
        """Where the carrier tells what happened; empty where it cannot reach this server."""
        url = self.settings.public_url
        return f"{url}/v1/sms/webhooks/telnyx" if url.startswith("https://") else ""


_laid: Means | None = None  # one for each process, as the engine is


def lay_down(means: Means) -> None:
    """Before the engine is launched."""
    global _laid  # noqa: PLW0603
    _laid = means


def at_hand() -> Means:
    """What was laid down."""
    if _laid is None:
        raise RuntimeError("nothing was laid down for text messages")
    return _laid
