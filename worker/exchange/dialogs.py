"""What is known of each call, on disk: a restarted exchange goes on with it, or tells that it rang.

placed    o1.dial ──┬───────────────┬──────────► until the api knows how it ended; empty: nobody was called
rings     o1.rings  └─┬─► becomes it ┘             written by the engine before the INVITE leaves
answered  o1.json     └─────┬─► until it is over   before our 200 leaves
came      ….comes ──┐       │                      somebody calls, and the api is asked whose call it is
waits     c1.asks   └─► ──┬─┘                      they have no answer, or none that is agreed on
                          └────────────────────► until the api knows how it ended

One file a call, written whole before it counts and removed when the call is over. No credential is in it:
the trunk's is asked for again.
"""

import contextlib
import hashlib
import logging
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from worker.exchange import sip
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


@dataclass(frozen=True)
class Came:
    """A call that came to an exchange which died before it could talk. `snapshot` is the engine's."""

    snapshot: str
    call_id: str = ""
    """Empty: the api has not said yet whose it is."""


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
        for kind in ("dial", "asks"):
            with contextlib.suppress(OSError):
                (self._folder / f"{call_id}.{kind}").unlink()

    @contextlib.contextmanager
    def coming(self, dialog: sip.Dialog) -> Iterator[None]:
        """Somebody calls, and nobody knows yet whose call it is; until `is_of`, or until this ends."""
        path = self._coming(dialog)
        self._write_call(path, dialog)
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                path.unlink()

    def is_of(self, dialog: sip.Dialog, call_id: str) -> None:
        """Whose call it is that came: it stays until it is answered, or the api knows how it ended."""
        with contextlib.suppress(OSError):
            self._coming(dialog).rename(self._folder / f"{call_id}.asks")

    def _coming(self, dialog: sip.Dialog) -> Path:
        # A Call-ID is whatever somebody else has thought of.
        return self._folder / f"{hashlib.sha256(dialog.call_id.encode()).hexdigest()[:32]}.comes"

    def asks(self, call_id: str, dialog: sip.Dialog) -> None:
        """It is answered with an offer of ours: what they make of it comes with the ACK."""
        self._write_call(self._folder / f"{call_id}.asks", dialog)

    def _write_call(self, path: Path, dialog: sip.Dialog) -> None:
        """A full disk must not end a call, nor must one that is over by now end us."""
        try:
            _write(path, dialog.snapshot())
        except OSError:
            logger.error("a call that came was not written down")
        except sip.SipError:
            logger.debug("a call was over before it was written down")

    def came(self) -> list[Came]:
        """Who called an exchange before us, and was not talked to yet.

        They are forgotten by this; where the api knows of the call, once it was `told`.
        """
        found = []
        for path in sorted((*self._folder.glob("*.comes"), *self._folder.glob("*.asks"))):
            is_known = path.suffix == ".asks"
            with contextlib.suppress(OSError):
                if not path.with_suffix(".json").exists():
                    with path.open(encoding="utf-8", errors="replace") as file:
                        found.append(Came(file.read(_MOST_BYTES), path.stem if is_known else ""))
                if not is_known or path.with_suffix(".json").exists():
                    path.unlink()
        return found

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
            (self._folder / f"{call.call_id}.asks").unlink(missing_ok=True)
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
