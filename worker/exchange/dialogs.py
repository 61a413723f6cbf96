"""What is known of each call that is answered, on disk: a restarted exchange goes on with it.

One file a call, written whole before it counts and removed when the call is over. No credential is in it:
the trunk's is asked for again.
"""

import contextlib
import logging
import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from worker.lines.rtp.media import Address, CodecName, Media, OurDirection

logger = logging.getLogger(__name__)

_MOST_BYTES = 64 * 1024


class Kept(BaseModel):
    """One call. `snapshot` is the engine's."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    call_id: str
    trunk_id: str
    is_outbound: bool
    snapshot: str
    media: Media
    address: Address
    """Ours, for the sound."""
    session_id: int
    version: int
    codec: CodecName
    taken: int = 1
    """How many shards have had it."""
    wish: OurDirection = "sendrecv"


class Dialogs:
    """The folder of them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, exist_ok=True)

    def keep(self, call: Kept) -> None:
        """Write it down. A full disk must not end a call: it would only not survive us."""
        path = self._folder / f"{call.call_id}.json"
        draft = path.with_suffix(".new")
        try:
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(call.model_dump_json())
            draft.rename(path)
        except OSError:
            logger.error("a dialog was not written down", extra={"call_id": call.call_id})

    def forget(self, call_id: str) -> None:
        """The call is over."""
        with contextlib.suppress(OSError):
            (self._folder / f"{call_id}.json").unlink()

    def kept(self) -> list[Kept]:
        """Those that an exchange before us left."""
        found = []
        for path in sorted(self._folder.glob("*.json")):
            try:
                if path.stat().st_size > _MOST_BYTES:
                    raise ValueError
                found.append(Kept.model_validate_json(path.read_bytes()))
            except (OSError, ValueError, ValidationError):
                logger.warning("a dialog could not be read and is forgotten")
                with contextlib.suppress(OSError):
                    path.unlink()
        return found
