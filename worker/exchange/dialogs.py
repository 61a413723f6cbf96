"""What is known of each call, on disk: a restarted exchange goes on with it, or tells that it rang.

placed    o1.dial ──┬───────────────┬──────────► until the api knows how it ended; empty: nobody was called
rings     o1.rings  └─┬─► becomes it ┘             written by the engine before the INVITE leaves
answered  o1.json     └─────┬─► until it is over

One file a call, written whole before it counts and removed when the call is over. No credential is in it:
the trunk's is asked for again.
"""

import contextlib
import logging
import os
import uuid
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from worker.lines.rtp.media import Address, CodecName, Media, OurDirection

logger = logging.getLogger(__name__)

_MOST_BYTES = 64 * 1024
_MOST_NAME = 64


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
    is_leg: bool = False
    """Somebody who was called for another call's other side."""
    bridged_with: str = ""
    """The call whose sound it is put through to; empty: a shard talks."""
    bridged_until: float = 0.0
    """When that ends at the latest (`time.time()`)."""
    wish: OurDirection = "sendrecv"
    apart: str = ""
    """As in `pipelines.contract.phones.PhoneRoute`."""
    is_forwarded: bool = False
    is_overheard: bool = False
    number: str = ""
    waits_since: float = 0.0
    """Of one that waits in the queue for a line: since when (`time.time()`)."""


@dataclass(frozen=True)
class Rang:
    """Somebody whom an exchange that died was to call."""

    sent: str = ""
    """What may ring on (`sip.Engine.abandon`); empty: nothing does."""
    was_called: bool = False
    """False: no INVITE left, unless the machine lost its power as it did."""


class Dialogs:
    """The folder of them."""

    def __init__(self, folder: Path) -> None:
        """Raises OSError."""
        self._folder = folder
        self.journal = _journal(folder)
        """Which one it is: another one knows nothing of the calls before."""

    def places(self, call_id: str) -> bool:
        """Somebody is about to be called. False: it could not be written, and nobody may be."""
        try:
            (self._folder / f"{call_id}.dial").touch(mode=0o600)
        except OSError:
            logger.error("a call to be placed was not written down", extra={"call_id": call_id})
            return False
        return True

    def may_have_rung(self, call_id: str) -> bool:
        """Whether somebody may have been called; that is forgotten once the api knows how it ended."""
        return any((self._folder / f"{call_id}.{kind}").exists() for kind in ("dial", "json", "rings"))

    def told(self, call_id: str) -> None:
        """The api knows how a call ended, or nobody was called for it."""
        with contextlib.suppress(OSError):
            (self._folder / f"{call_id}.dial").unlink()

    def rings(self, call_id: str) -> Path:
        """Where the engine writes whom it calls, before it does (`sip.Engine.invite`)."""
        return self._folder / f"{call_id}.rings"

    def rang(self) -> dict[str, Rang]:
        """Whom an exchange before us was calling when it died, or had called and not told of.

        That they rang is forgotten by this; that they were called, once the api was `told`.
        """
        rang = {}
        for path in self._folder.glob("*.new"):
            path.unlink(missing_ok=True)  # of what was never written wholly
        for path in sorted(self._folder.glob("*.rings")):
            with contextlib.suppress(OSError):
                if not path.with_suffix(".json").exists():
                    with path.open(encoding="utf-8", errors="replace") as file:
                        rang[path.stem] = Rang(file.read(_MOST_BYTES), was_called=True)
                self._rings_no_more(path.stem)
        for path in sorted(self._folder.glob("*.dial")):
            if not path.with_suffix(".json").exists():
                with contextlib.suppress(OSError):
                    rang.setdefault(path.stem, Rang(was_called=path.stat().st_size > 0))
        return rang

    def _rings_no_more(self, call_id: str) -> None:
        """It stays until the api knows, where it is to. Raises OSError."""
        rings, placed = self.rings(call_id), self._folder / f"{call_id}.dial"
        if not placed.exists():
            rings.unlink(missing_ok=True)
        elif rings.exists():
            rings.rename(placed)

    def keep(self, call: Kept) -> None:
        """Write it down. A full disk must not end a call: it would only not survive us."""
        path = self._folder / f"{call.call_id}.json"
        try:
            _write(path, call.model_dump_json())
            self._rings_no_more(call.call_id)
        except OSError:
            logger.error("a dialog was not written down", extra={"call_id": call.call_id})

    def forget(self, call_id: str) -> None:
        """The call is over."""
        with contextlib.suppress(OSError):
            self._rings_no_more(call_id)
        for kind in ("json", "new"):
            with contextlib.suppress(OSError):
                (self._folder / f"{call_id}.{kind}").unlink()

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


def _journal(folder: Path) -> str:
    """The name of a journal, found or begun; it lies beside, so that the folder holds calls alone."""
    path = folder.with_suffix(".id")
    if folder.is_dir():
        with contextlib.suppress(OSError, UnicodeDecodeError):
            if name := path.read_text(encoding="utf-8")[:_MOST_NAME].strip():
                return name
    name = uuid.uuid4().hex
    _write(path, name)  # first: a folder without its name is taken for a new one
    folder.mkdir(mode=0o700, exist_ok=True)
    return name


def _write(path: Path, text: str) -> None:
    """Wholly, or not at all."""
    draft = path.with_suffix(".new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    draft.rename(path)
