"""A transcript as other programs read it: subtitles (SRT, WebVTT) and vCon."""

from datetime import UTC, datetime
from typing import Any

from api.calls.schemas import Call
from api.calls.transcripts import TranscriptEntry

SRT, VTT, TEXT = "application/x-subrip", "text/vtt", "text/plain"


def srt(entries: list[TranscriptEntry]) -> str:
    """SubRip: numbered, with commas before the milliseconds."""
    blocks = (
        f"{number}\n{_clock(entry.start_ms, ',')} --> {_clock(_end(entry), ',')}\n{_line(entry)}\n"
        for number, entry in enumerate(entries, 1)
    )
    return "\n".join(blocks)


def vtt(entries: list[TranscriptEntry]) -> str:
    """WebVTT, each cue with its voice (W3C WebVTT, §3.1)."""
    blocks = (
        f"{_clock(entry.start_ms, '.')} --> {_clock(_end(entry), '.')}\n"
        f"<v {entry.role.capitalize()}>{_escaped(entry.text)}\n"
        for entry in entries
    )
    return "WEBVTT\n\n" + "\n".join(blocks)


_PARTIES = {"user": 0, "person": 2}
"""Who said it; whoever talked in the agent's place is told as the agent."""


def vcon(call: Call, agent_name: str) -> dict[str, Any]:
    """A call as an IETF vCon (draft-ietf-vcon-vcon-container, version 0.0.1).

    Parties are the caller, the agent and whom the caller was put through to, if words of theirs are here; a
    dialog is the recording, where there is one, and every utterance.
    """
    parties: list[dict[str, Any]] = [
        {"role": "caller", **({"tel": call.from_number} if call.from_number else {"name": "Caller"})},
        {"role": "agent", "name": agent_name, **({"tel": call.to_number} if call.to_number else {})},
    ]
    if any(entry.role == "person" for entry in call.transcript_object):
        reached = next((one for one in call.transfers if one.outcome == "bridged"), None)
        to = "Person" if reached is None else reached.to
        parties.append({"role": "person", "tel" if to.startswith("+") else "name": to})
    began = _moment(call.start_timestamp) or call.created_at
    dialog: list[dict[str, Any]] = [
        {
            "type": "text",
            "start": entry.timestamp.isoformat(),
            "duration": max(0, entry.end_ms - entry.start_ms) / 1000,
            "parties": [_PARTIES.get(entry.role, 1)],
            "mediatype": "text/plain",
            "body": entry.text,
            "encoding": "none",
        }
        for entry in call.transcript_object
        if entry.role != "note"
    ]
    if call.recording_url:
        dialog.insert(
            0,
            {
                "type": "recording",
                "start": began.isoformat(),
                "duration": (call.recording_duration_ms or 0) / 1000,
                "parties": [0, 1],
                "mediatype": "audio/ogg",
                "url": call.recording_url,
            },
        )
    analysis: list[dict[str, Any]] = []
    if call.call_analysis is not None:
        found = call.call_analysis
        analysis.append(
            {
                "type": "summary",
                "vendor": "call2me-runtime",
                "product": found.analysed_by,
                "mediatype": "application/json",
                "body": found.model_dump(mode="json"),
                "encoding": "json",
            }
        )
    return {
        "vcon": "0.0.1",
        "uuid": _uuid(call.call_id),
        "created_at": call.created_at.isoformat(),
        "updated_at": call.updated_at.isoformat(),
        "subject": f"Call {call.call_id}",
        "parties": parties,
        "dialog": dialog,
        "analysis": analysis,
        "attachments": [],
    }


def _end(entry: TranscriptEntry) -> int:
    # A cue without a duration is shown by nobody.
    return max(entry.end_ms, entry.start_ms + 1)


def _line(entry: TranscriptEntry) -> str:
    return f"{entry.role.capitalize()}: {' '.join(entry.text.split())}"


def _escaped(text: str) -> str:
    one_line = " ".join(text.split())
    return one_line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _clock(milliseconds: int, separator: str) -> str:
    seconds, rest = divmod(max(0, milliseconds), 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}{separator}{rest:03d}"


def _moment(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)


def _uuid(call_id: str) -> str:
    """The same for a call at every export (RFC 9562, version 8: the digits of our own id)."""
    digits = call_id.rsplit("_", 1)[-1].rjust(30, "0")
    return f"{digits[:8]}-{digits[8:12]}-8{digits[12:15]}-8{digits[15:18]}-{digits[18:30]}"
