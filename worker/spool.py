"""Writes down what happens in a call, so that nothing is lost when its process dies.

A call appends to `<call_id>.<attempt>.jsonl`, one event a line, each line by one `write`; beside it stands
`<call_id>.<attempt>.ogg`. The file is locked from the moment it has its name until the call's process
closes it or dies. So the lock, and nothing else, says whether a call can still speak for itself; whoever
else wants to append (`worker.reporter`) must take the lock first.
"""

import contextlib
import fcntl
import json
import logging
import os
import re
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pipelines.contract.events import SEQUENCES_PER_ATTEMPT, CallEvent, WarningRaised

logger = logging.getLogger(__name__)

MAX_EVENT_BYTES = 256 * 1024
"""A longer event is replaced by a warning that says so; a batch must fit into the api's body limit."""

MAX_WAITING = 2_000
"""Events kept in memory while the disk refuses them."""

ENDS = ("call_ended", "call_lost")

_CALL_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_SPOOL_NAME = re.compile(r"([A-Za-z0-9_-]{1,128})\.([1-9][0-9]{0,5})\.jsonl")
_TAIL_BYTES = 2 * MAX_EVENT_BYTES


class AlreadySpooled(Exception):
    """This attempt of the call has been spooled by another process"""


@dataclass(frozen=True, order=True)
class SpoolKey:
    """Names the files of one attempt at one call."""

    call_id: str
    attempt: int

    @classmethod
    def of(cls, path: Path) -> "SpoolKey | None":
        """The key of a spool file, None for any other file."""
        found = _SPOOL_NAME.fullmatch(path.name)
        return cls(found[1], int(found[2])) if found else None

    def events(self, folder: Path) -> Path:
        """What happened, one JSON object a line."""
        return folder / f"{self.call_id}.{self.attempt}.jsonl"

    def recording(self, folder: Path) -> Path:
        """Where the call's process writes its recording, if it makes one."""
        return folder / f"{self.call_id}.{self.attempt}.ogg"


class Spool:
    """The writing side. Appending never raises and never waits for the network."""

    def __init__(
        self, folder: Path, key: SpoolKey, fd: int, *, size: int, next_sequence: int, is_ended: bool = False
    ) -> None:
        """Use `open` in a call, `adopt` for what a dead call left."""
        self.key = key
        self.is_ended = is_ended
        """True when an adopted spool says how its call ended."""
        self._folder = folder
        self._fd = fd
        self._size = size
        self._next = next_sequence
        self._waiting: deque[CallEvent] = deque()
        self._is_refused = False
        self.lost = 0
        """Events dropped because the disk refused them for too long."""

    @classmethod
    def open(cls, folder: Path, call_id: str, attempt: int) -> "Spool":
        """Begin the spool of an attempt; sequence numbers start at (attempt - 1) * SEQUENCES_PER_ATTEMPT.

        Raises `AlreadySpooled` when the attempt has a spool, ValueError for an id that cannot name a
        file, OSError when the folder cannot be written.
        """
        if not _CALL_ID.fullmatch(call_id) or not 1 <= attempt < 1_000_000:
            raise ValueError("not a call id or not an attempt")
        key = SpoolKey(call_id, attempt)
        path = key.events(folder)
        # The name appears only when the lock is held: an unlocked spool belongs to a dead call.
        draft = path.with_name(f"{path.name}.{os.getpid()}.new")
        draft.unlink(missing_ok=True)
        fd = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_APPEND, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.hardlink_to(draft)
        except BaseException as error:
            os.close(fd)
            if isinstance(error, FileExistsError):
                raise AlreadySpooled from error
            raise
        finally:
            draft.unlink()
        return cls(folder, key, fd, size=0, next_sequence=(attempt - 1) * SEQUENCES_PER_ATTEMPT)

    @staticmethod
    def is_held(folder: Path, call_id: str, attempt: int) -> bool:
        """Whether the process that spools this attempt is alive."""
        try:
            fd = os.open(SpoolKey(call_id, attempt).events(folder), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
        return False

    @classmethod
    def adopt(cls, folder: Path, key: SpoolKey) -> "Spool | None":
        """Take over the spool of a call whose process is gone; None while it is alive.

        Drops a torn last line. Raises FileNotFoundError when there is no such spool.
        """
        fd = os.open(key.events(folder), os.O_RDWR | os.O_CLOEXEC | os.O_APPEND)
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(fd)
                return None
            size = os.fstat(fd).st_size
            start = max(0, size - _TAIL_BYTES)
            tail = os.pread(fd, size - start, start)
            whole = tail[: tail.rfind(b"\n") + 1]
            if len(whole) < len(tail):
                size = start + len(whole)
                os.ftruncate(fd, size)
        except OSError:
            os.close(fd)
            raise
        next_sequence, is_ended = _left_in(whole, key.attempt)
        return cls(folder, key, fd, size=size, next_sequence=next_sequence, is_ended=is_ended)

    @property
    def recording(self) -> Path:
        """Where to write the recording."""
        return self.key.recording(self._folder)

    @property
    def is_behind(self) -> bool:
        """True while the disk refuses events (it is full); they wait in memory."""
        return bool(self._waiting)

    def append(self, event: CallEvent) -> None:
        """Write an event down; its `call_id`, `attempt` and `sequence` are set here, whatever they were.

        While the disk refuses, events wait in memory, up to `MAX_WAITING`, and go down in order with the
        first one that it takes again.
        """
        if self._fd < 0:
            logger.error("event after the end of its spool", extra={"kind": event.kind})
            return
        if len(self._waiting) < MAX_WAITING or event.kind == "call_ended":
            self._waiting.append(event)
        else:
            self.lost += 1
        self._write_waiting()

    def close(self) -> None:
        """Write what still waits and let go of the lock: from here on the supervisor finishes the call."""
        if self._fd < 0:
            return
        self._write_waiting()
        if self._waiting:
            logger.error(
                "the spool ends without its last events",
                extra={"call_id": self.key.call_id, "events": len(self._waiting)},
            )
        os.close(self._fd)
        self._fd = -1

    def _write_waiting(self) -> None:
        while self._waiting:
            if not self._write(self._waiting[0]):
                return
            self._waiting.popleft()
            if self.lost:
                message = f"The disk was full: {self.lost} events of this call were lost."
                self.lost = 0
                self._waiting.appendleft(self._warning("events_lost", message))

    def _write(self, event: CallEvent) -> bool:
        line = self._line(event)
        if len(line) > MAX_EVENT_BYTES:
            logger.error("event too large for the spool", extra={"kind": event.kind, "bytes": len(line)})
            line = self._line(
                self._warning("event_too_large", f"An event was too large to keep: {event.kind}.")
            )
        written, reason = 0, "only part of a line was taken"
        try:
            if self._is_refused:
                # A full disk took part of a line; the next one must not be glued to it.
                os.ftruncate(self._fd, self._size)
            written = os.write(self._fd, line)
            if written < len(line):
                os.ftruncate(self._fd, self._size)
        except OSError as error:
            reason = error.strerror or type(error).__name__
        if written < len(line):
            if not self._is_refused:
                logger.error("the spool cannot be written, events wait", extra={"reason": reason})
            self._is_refused = True
            return False
        if self._is_refused:
            logger.warning("the spool can be written again", extra={"call_id": self.key.call_id})
        self._is_refused = False
        self._size += written
        self._next += 1
        return True

    def _line(self, event: CallEvent) -> bytes:
        numbered = event.model_copy(
            update={"call_id": self.key.call_id, "attempt": self.key.attempt, "sequence": self._next}
        )
        return numbered.model_dump_json().encode() + b"\n"

    def _warning(self, code: str, message: str) -> WarningRaised:
        return WarningRaised(
            call_id=self.key.call_id, attempt=0, sequence=0, at=datetime.now(UTC), code=code, message=message
        )


def _left_in(whole: bytes, attempt: int) -> tuple[int, bool]:
    """The number behind that of the last line that has one, and whether any line is an end."""
    next_sequence = (attempt - 1) * SEQUENCES_PER_ATTEMPT
    is_ended = False
    for line in whole.splitlines():
        with contextlib.suppress(ValueError, KeyError, TypeError):
            event = json.loads(line)
            next_sequence = max(next_sequence, int(event["sequence"]) + 1)
            is_ended = is_ended or event["kind"] in ENDS
    return next_sequence, is_ended
