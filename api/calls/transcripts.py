"""What was said in a call, as the wire shows it, with what happened between the words."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from pydantic import Field

from api.calls import takeovers
from api.calls.takeovers import Note
from api.http.wire import Wire
from pipelines.contract.events import CallEvent, KnowledgeUsed, UtteranceHeard
from pipelines.transcript import PassageUsed, Utterance

TranscriptFormat = Literal["json", "text", "srt", "vtt"]


class TranscriptQuery(Wire):
    """In which form. Where nothing is asked for, the Accept header decides."""

    format: TranscriptFormat | None = None


class TranscriptEntry(Wire):
    """One utterance. `start_ms` and `end_ms` count from the moment the agent began to listen."""

    role: Literal["agent", "user", "supervisor", "person", "note"]
    """A `supervisor` is a person who talked in the agent's place, a `person` whom the caller was put through
    to (`transcribe_after_transfer`). A `note` was said by nobody: it tells who
    took the call over, and when it was given back."""
    text: str
    timestamp: datetime
    start_ms: int
    end_ms: int
    was_interrupted: bool
    is_typed: bool
    utterance_id: str
    knowledge: list[PassageUsed] = Field(default_factory=list)
    """What the answer had before it from the knowledge base, best first."""

    @classmethod
    def of(
        cls, utterance: Utterance, origin: datetime, knowledge: Sequence[PassageUsed] = ()
    ) -> "TranscriptEntry":
        """An utterance on a call's own clock."""
        return cls(
            role=utterance.role,
            text=utterance.text,
            timestamp=utterance.started_at,
            start_ms=_since(origin, utterance.started_at),
            end_ms=_since(origin, utterance.ended_at),
            was_interrupted=utterance.was_interrupted,
            is_typed=utterance.is_typed,
            utterance_id=utterance.utterance_id,
            knowledge=list(knowledge),
        )

    @classmethod
    def noted(cls, note: Note, origin: datetime) -> "TranscriptEntry":
        """What happened between the words."""
        at = _since(origin, note.at)
        return cls(
            role="note",
            text=note.text,
            timestamp=note.at,
            start_ms=at,
            end_ms=at,
            was_interrupted=False,
            is_typed=False,
            utterance_id="",
        )


class Transcript(Wire):
    """What was said in a call."""

    call_id: str
    transcript: str
    transcript_object: list[TranscriptEntry]


def entries(events: Sequence[CallEvent], origin: datetime) -> list[TranscriptEntry]:
    """All that was said, and what happened between the words, in order."""
    used = {event.utterance_id: event.passages for event in events if isinstance(event, KnowledgeUsed)}
    told = [
        TranscriptEntry.of(event.utterance, origin, used.get(event.utterance.utterance_id, ()))
        for event in events
        if isinstance(event, UtteranceHeard)
    ]
    told += [TranscriptEntry.noted(note, origin) for note in takeovers.notes(events)]
    return sorted(told, key=lambda entry: entry.timestamp)


def as_text(told: Sequence[TranscriptEntry]) -> str:
    """A line for each."""
    return "\n".join(f"{entry.role.capitalize()}: {entry.text}" for entry in told)


def _since(origin: datetime, moment: datetime) -> int:
    return max(0, round((moment - origin).total_seconds() * 1000))
