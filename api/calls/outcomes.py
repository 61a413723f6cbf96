"""How a call ended, more exactly than its status has it: by the carrier's word and the agent's."""

from typing import Literal

from api.calls.table import CallRow

Outcome = Literal["no_answer", "busy", "failed", "voicemail", "rejected", "unsure"]
"""After which somebody may be called again."""
NOT_DIALLED = "not_dialled"
"""How the reason of a call begins that never left this house."""
UNSURE = "unsure"
"""How the reason of a call begins of which nobody will know whether a telephone rang: whoever was to make it
died. Who may have been called is called again only where that is asked for by this name."""

VOICEMAIL, MESSAGE_LEFT, REJECTED, INVALID_NUMBER = "voicemail", "message_left", "rejected", "invalid_number"
UNDIALLED, DELETED = "not_dialled", "deleted"
REACHED = frozenset({"completed", "transferred", "ended", MESSAGE_LEFT})
"""Somebody was spoken with, or has the message."""
ANSWERED = REACHED | {VOICEMAIL}
"""The line works, and the number is somebody's."""
_SPOKEN = {"voicemail": VOICEMAIL, "voicemail_message_left": MESSAGE_LEFT}
_REFUSED = {
    **dict.fromkeys((403, 603, 607, 608), REJECTED),
    # RFC 3261: not found, gone, incomplete, nowhere. The same number again is the same answer again.
    **dict.fromkeys((404, 410, 484, 604), INVALID_NUMBER),
}


def outcome_of(call: CallRow | None) -> str:
    """Of a call that is over; None is one that was deleted meanwhile."""
    if call is None:
        return DELETED
    reason = call.disconnection_reason or ""
    if spoken := _SPOKEN.get(reason):
        return spoken
    if call.status != "failed":
        return call.status
    if reason.startswith(NOT_DIALLED):
        return UNDIALLED
    if reason.startswith(UNSURE):
        return UNSURE
    return _REFUSED.get(call.sip_code or 0, call.status)
