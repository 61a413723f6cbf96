"""What a spool still holds for the api: read in pieces, finished in place of a dead call, removed at the end.

        call's process ── writes ──► spool ──► piece ── accepted ──► offset moves on
               └─ gone: lock free ──► adopted: torn line cut, recording sealed, CallLost appended
                                        └──► all accepted ──► recording uploaded ──► files removed

Everything here touches the disk and nothing else; the reporter calls it from a thread.
"""

import logging
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from pipelines import ogg
from pipelines.contract.events import EVENT, CallEnded, CallLost
from worker.spool import MAX_EVENT_BYTES, Spool, SpoolKey

logger = logging.getLogger(__name__)

LOST = "error: the call's process died"
RETRY_SECONDS = 2.0
KEEP_REJECTED_SECONDS = 7 * 86_400.0


@dataclass
class Parcel:
    """One spool on its way to the api. `offset` is up to where its events have been accepted."""

    folder: Path
    key: SpoolKey
    offset: int = 0
    is_over: bool = False
    """The call's process is gone and the spool says how it ended: nothing will be added."""
    is_delivered: bool = False
    """All of it has been accepted."""
    is_refused: bool = False
    """The api wants no more of this attempt."""
    has_recording: bool = False
    retry_at: float = 0.0
    """Not before this moment (monotonic) may what failed be tried again."""
    failures: int = 0
    rejected_through: int = 0

    @property
    def events(self) -> Path:
        """The spool."""
        return self.key.events(self.folder)

    @property
    def recording(self) -> Path:
        """What the call recorded."""
        return self.key.recording(self.folder)

    def finish_for_the_dead(self) -> None:
        """If the call's process is gone: cut a torn line and say that the call is lost, unless it ended.

        Sets `is_over`; leaves a call that is alive alone. On a full disk, tried again later.
        """
        if self.is_over or time.monotonic() < self.retry_at:
            return
        spool = Spool.adopt(self.folder, self.key)
        if spool is None:
            return
        try:
            if not spool.is_ended:
                has_recording = self.sealed_ms() > 0
                spool.append(
                    CallLost(
                        call_id=self.key.call_id,
                        attempt=self.key.attempt,
                        sequence=0,
                        at=datetime.now(UTC),
                        reason=LOST,
                        has_recording=has_recording,
                    )
                )
                logger.warning(
                    "a call was lost", extra={"call_id": self.key.call_id, "has_recording": has_recording}
                )
            if spool.is_behind:
                self.retry_at = time.monotonic() + RETRY_SECONDS
            else:
                self.is_over = True
        finally:
            spool.close()

    def next_piece(self, max_events: int, max_bytes: int) -> "Piece":
        """Events from `offset` on, whole lines only. Lines that are no events go to the rejected file."""
        with self.events.open("rb") as file:
            file.seek(self.offset)
            # One byte more than fits, to know whether this was all.
            data = file.read(max_bytes + 1)
        piece = Piece(self, end=self.offset)
        for line in data[:max_bytes].splitlines(keepends=True):
            if not line.endswith(b"\n") or len(piece.events) >= max_events:
                break
            self._sort(line, piece)
            piece.end += len(line)
        piece.is_last = piece.end == self.offset + len(data)
        if piece.end == self.offset and len(data) > MAX_EVENT_BYTES + 1:
            # Nothing we wrote is that long: skip it, or it would stand in the way for ever.
            self._sort(data[:max_bytes], piece)
            piece.end += len(data[:max_bytes])
        return piece

    def accept(self, piece: "Piece") -> None:
        """All of a piece has been accepted or put aside."""
        self.offset = piece.end
        if piece.end_event is not None:
            self.has_recording = piece.end_event.has_recording
        self.is_delivered = self.is_over and piece.is_last

    def reject(self, line: bytes) -> None:
        """Keep what the api will never take where a person finds it."""
        path = self.events.with_suffix(".rejected")
        try:
            with path.open("ab") as file:
                file.write(line.rstrip(b"\n") + b"\n")
            path.chmod(0o600)
        except OSError as error:
            logger.error("a rejected event could not be kept", extra={"reason": error.strerror})

    def sealed_ms(self) -> int:
        """Make the recording whole; how long it is, 0 when there is none. Harmless to repeat."""
        try:
            return ogg.seal(self.recording)
        except FileNotFoundError:
            return 0
        except (OSError, ValueError) as error:
            logger.error(
                "a recording cannot be sealed", extra={"call_id": self.key.call_id, "reason": str(error)}
            )
            return 0

    def reject_recording(self) -> None:
        """Keep a recording that the api will never take."""
        self.recording.replace(self.recording.with_suffix(".ogg.rejected"))

    def discard(self) -> None:
        """The api wants none of it: done as soon as the call's process is gone."""
        try:
            spool = Spool.adopt(self.folder, self.key)
        except FileNotFoundError:
            self.is_over = self.is_delivered = True
            return
        if spool is not None:
            spool.close()
            self.is_over = self.is_delivered = True

    def remove(self) -> None:
        """Everything of it is where it belongs. The spool goes last: it is what a restart looks for."""
        self.recording.unlink(missing_ok=True)
        self.events.unlink(missing_ok=True)

    def _sort(self, line: bytes, piece: "Piece") -> None:
        try:
            event = EVENT.validate_json(line)
            if (event.call_id, event.attempt) != (self.key.call_id, self.key.attempt):
                raise ValueError("an event of another call")
        except (ValidationError, ValueError):
            if piece.end >= self.rejected_through:
                logger.error("a line of a spool is no event", extra={"call_id": self.key.call_id})
                self.reject(line)
                self.rejected_through = piece.end + len(line)
            return
        if isinstance(event, CallEnded | CallLost):
            piece.end_event = event
        piece.events.append(line.rstrip(b"\n"))


@dataclass
class Piece:
    """Some events of one parcel, as they travel."""

    parcel: Parcel
    end: int
    """The offset behind them."""
    events: list[bytes] = field(default_factory=list)
    end_event: CallEnded | CallLost | None = None
    is_last: bool = False
    """Nothing stood behind it in the file when it was read."""


def found_in(folder: Path) -> set[SpoolKey]:
    """Every spool there is."""
    return {key for path in folder.glob("*.jsonl") if (key := SpoolKey.of(path)) is not None}


def tidy(folder: Path) -> None:
    """At the start: drafts of spools that never began, and rejected files nobody asked for in a week."""
    for path in folder.glob("*.new"):
        path.unlink(missing_ok=True)
    for path in folder.glob("*.rejected"):
        if time.time() - path.stat().st_mtime > KEEP_REJECTED_SECONDS:
            path.unlink(missing_ok=True)
