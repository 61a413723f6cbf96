"""What was seen of a test call, in words for whoever must mend it.

over? ─► dialled? ─► answered? ─► said? ─► does sound come back, and how well
  │         └ no: the registration, or us     └ no: the carrier's word, or silence
  └ no: so far
"""

from collections.abc import Sequence
from dataclasses import dataclass

from api.calls.outcomes import NOT_DIALLED, UNSURE
from api.calls.table import CallRow
from api.sip_trunks import refusals
from api.sip_trunks.explaining import explained
from api.sip_trunks.refusals import Meaning
from pipelines.contract.events import (
    CallEvent,
    FunctionCalled,
    MediaMeasured,
    MediaQuality,
    UtteranceHeard,
    WarningRaised,
)

POOR_MOS = 3.6
"""Below it, ITU-T G.107 says, many are dissatisfied."""
LEAST_SENT = 100
"""Two seconds: with less, nothing can be said of what came."""
HARDLY_HEARD_PERCENT = 50.0
_SILENT = "nobody answered"
_TOO_LATE = (_SILENT, "not answered in time")
"""The reasons of our own SIP engine for giving up: not a word for 32 seconds, and longer than asked."""
_NO_ROOM = "as many phone calls as allowed are running"
_PRESSED = "It was answered, and whoever heard the sentence pressed {key}: both hear each other."
_ASK = "No key was pressed: only whoever answered can say whether the sentence was heard there."
_FIREWALL = (
    "Open CALL2ME_RTP_PORTS (UDP) to the world: carriers send sound from other machines than they signal "
    "from.",
    "Behind a router: map these ports one to one and set CALL2ME_SIP_PUBLIC_HOST, as "
    "docs/phones-in-production.md says.",
    "Ask the carrier to send the sound to where ours comes from (symmetric RTP).",
)


@dataclass(frozen=True)
class Heard:
    """What the call's events say."""

    quality: MediaQuality | None = None
    was_said: bool = False
    key: str | None = None
    warnings: tuple[str, ...] = ()

    @classmethod
    def of(cls, events: Sequence[CallEvent]) -> "Heard":
        """Read them."""
        quality, was_said, key, warnings = None, False, None, list[str]()
        for event in events:
            if isinstance(event, MediaMeasured):
                quality = event.quality
            elif isinstance(event, UtteranceHeard) and event.utterance.role == "agent":
                was_said |= not event.utterance.was_interrupted
            elif isinstance(event, FunctionCalled) and event.name == "test_call":
                key = str(event.arguments.get("key", ""))[:1]
            elif isinstance(event, WarningRaised):
                warnings.append(event.message)
        return cls(quality, was_said, key, tuple(warnings))


@dataclass(frozen=True)
class Trunk:
    """What of a trunk stands in explanations."""

    server: str
    transport: str
    dialled: str
    """The number as it was spelled for this carrier."""
    shown: str
    """The caller id that was sent; empty: the user name."""
    registers: bool
    why_not_registered: str = ""


@dataclass(frozen=True)
class Explained:
    """`success` is None until it is over, and where sound could not be measured."""

    success: bool | None
    summary: str
    advice: tuple[str, ...] = ()


def explain(call: CallRow, heard: Heard, trunk: Trunk) -> Explained:
    """Say what happened, and what to do."""
    if not call.is_over:
        return Explained(None, _so_far(call))
    if call.answered_at is not None or call.started_at is not None:
        return _answered(call, heard)
    reason = (call.disconnection_reason or "").partition(": ")[2]
    if (call.disconnection_reason or "").startswith(NOT_DIALLED):
        return _undialled(reason)
    if (call.disconnection_reason or "").startswith(UNSURE):
        return Explained(False, f"Nobody knows whether it rang: {reason}.", ("Test it again.",))
    meant = _meaning(call, trunk)
    filled = {
        "to": call.to_number or "",
        "dialled": trunk.dialled,
        "server": trunk.server,
        "transport": trunk.transport.upper(),
        "shown": trunk.shown or "the user name",
    }
    says = _with_code(call, meant)
    if call.rang_at is not None:
        says = f"It rang. {says}"
    return Explained(False, says, tuple(one.format_map(filled) for one in meant.advice))


def _so_far(call: CallRow) -> str:
    told = {"pending": "It is being dialled.", "ringing": "It rings.", "in_progress": "Somebody answered."}
    return told.get(call.status, "It goes on.")


def _undialled(reason: str) -> Explained:
    says = f"Nothing was dialled: {explained(reason)}."
    if reason.startswith("it is not registered"):
        advice = "Mend the registration first: the carrier takes no calls from whom it does not know."
    elif reason == _NO_ROOM:
        advice = "Wait until a call is over, or raise CALL2ME_MAX_PHONE_CALLS."
    else:
        advice = "Look at GET /v1/sip/health, and at the log of the worker."
    return Explained(False, says, (advice,))


def _meaning(call: CallRow, trunk: Trunk) -> Meaning:
    code, reason = call.sip_code or 0, call.sip_reason or ""
    if code == 408 and reason in _TOO_LATE:
        return _not_in_time(call, trunk)
    return refusals.meaning(code) if code else _no_connection(reason, trunk)


def _not_in_time(call: CallRow, trunk: Trunk) -> Meaning:
    if call.rang_at is not None:
        return refusals.meaning(487)
    if call.sip_reason == _SILENT:
        return refusals.SILENCE
    return refusals.meaning(408) if _knows_us(call, trunk) else refusals.UNCLEAR


def _no_connection(reason: str, trunk: Trunk) -> Meaning:
    meant = refusals.meaning_of_words(reason) or refusals.UNREACHED
    return refusals.TLS if meant is refusals.UNREACHED and trunk.transport == "tls" else meant


def _knows_us(call: CallRow, trunk: Trunk) -> bool:
    """Somebody is there: it says so by a registration, or by not being silent for 32 seconds."""
    return (trunk.registers and not trunk.why_not_registered) or (call.ring_seconds or 0) > 32


def _with_code(call: CallRow, meant: Meaning) -> str:
    said = f"{call.sip_code or ''} {call.sip_reason or ''}".strip()
    return f"{meant.says} ({said})." if said else f"{meant.says}."


def _answered(call: CallRow, heard: Heard) -> Explained:
    quality = heard.quality
    if not heard.was_said:
        return _unsaid(call, heard)
    if quality is None:
        return _unmeasured(heard)
    if quality.packets_sent < LEAST_SENT and not quality.packets_received:
        return Explained(False, "It was answered, and over before any sound could be measured.")
    if not quality.packets_received:
        says = "It was answered and the sentence was said, but no sound came from there."
        return Explained(False, says, _FIREWALL)
    return _both_ways(heard, quality)


def _unmeasured(heard: Heard) -> Explained:
    """By livekit-sip, or where the process of the call died."""
    if heard.key is not None:
        return Explained(True, _PRESSED.format(key=heard.key))
    says = "It was answered and the sentence was said; whether sound came back was not measured."
    return Explained(None, says, (_ASK,))


def _both_ways(heard: Heard, quality: MediaQuality) -> Explained:
    said = "It was answered, the sentence was said, and sound came back."
    if heard.key is not None:
        said = _PRESSED.format(key=heard.key)
    if quality.remote_lost_percent is not None and quality.remote_lost_percent >= HARDLY_HEARD_PERCENT:
        says = f"They hear hardly anything of us: {quality.remote_lost_percent:g} % is lost on the way there."
        return Explained(False, f"{said} {says}", ("Let UDP out from CALL2ME_RTP_PORTS to any address.",))
    if quality.mos < POOR_MOS:
        says = f"It sounds poor (MOS {quality.mos:g}): {_losses(quality)}."
        advice = "Look for a network that loses packets on the way: wireless, or a line that is full."
        return Explained(True, f"{said} {says}", (advice,))
    if heard.key is None and quality.remote_lost_percent is None:
        return Explained(True, said, (_ASK,))
    return Explained(True, said)


def _losses(quality: MediaQuality) -> str:
    sent = max(1, quality.packets_received + quality.packets_lost)
    lost = 100 * quality.packets_lost / sent
    return (
        f"{lost:.0f} % of the packets lost, {quality.packets_late} too late, jitter {quality.jitter_ms:g} ms"
    )


def _unsaid(call: CallRow, heard: Heard) -> Explained:
    reason = call.disconnection_reason or ""
    if reason == "user_hangup":
        says = "It was answered and hung up there before the sentence was over."
        quality = heard.quality
        if quality is not None and not quality.packets_received and quality.packets_sent >= LEAST_SENT:
            return Explained(False, f"{says} No sound came from there.", _FIREWALL)
        return Explained(False, says, ("Let whoever answers listen for ten seconds.",))
    if "balance" in reason:
        return Explained(False, "It was answered, and the balance is spent.", ("Add credit.",))
    says = f"It was answered, but nothing could be said: {reason.removeprefix('error: ')}."
    advice = "See whether the agent's voice works, or leave agent_id out to use a voice of this installation."
    return Explained(False, says, (*heard.warnings[:3], advice))
