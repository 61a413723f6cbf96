"""Telnyx's text messages in the stand-in: profiles, numbers on them, messages, block rules and events."""

import json
import uuid
from collections.abc import Mapping
from typing import Any

from tests.support.telnyx_shapes import Answer, Query, error, iso, new_id, page

STOPS, STARTS = {"stop", "stopall", "stop all", "unsubscribe", "cancel", "end", "quit"}, {"start", "unstop"}


class FakeTexts:
    """Of one account. `numbers` are those of the account, by their ids."""

    def __init__(self, numbers: Mapping[str, dict[str, Any]]) -> None:
        self._numbers = numbers
        self.profiles: dict[str, dict[str, Any]] = {}
        self.enabled: dict[str, str] = {}
        """Numbers with messages: their ids, and the profile of each."""
        self.sent: list[dict[str, Any]] = []
        self.blocked: set[tuple[str, str]] = set()
        """Profile and receiver, after a STOP."""
        self._kept: dict[str, tuple[bytes, Answer]] = {}

    def answer(  # noqa: PLR0911 - a table
        self, method: str, parts: list[str], query: Query, asked: Any, raw: bytes, key: str
    ) -> Answer | None:
        """None for what is not about messages."""
        match method, parts:
            case "POST", ["messages"]:
                if key in self._kept:
                    before, told = self._kept[key]
                    return (
                        told
                        if before == raw
                        else _refused(422, "10015", "Idempotency-Key of another request")
                    )
                told = self._send(asked)
                if key and told[0] < 300:  # only what succeeded is kept
                    self._kept[key] = raw, told
                return told
            case "GET", ["messaging_profiles"]:
                name = query.get("filter[name]")
                return page(one for one in self.profiles.values() if name in (None, one["name"]))
            case "POST", ["messaging_profiles"]:
                return self._profile(asked)
            case "PATCH", ["messaging_profiles", name] if name in self.profiles:
                self.profiles[name] |= {**asked, "updated_at": iso()}
                return 200, {"data": self.profiles[name]}
            case "PATCH", ["phone_numbers", name, "messaging"] if name in self._numbers:
                if asked.get("messaging_profile_id") not in self.profiles:
                    return _refused(422, "10015", "messaging_profile_id")
                self.enabled[name] = asked["messaging_profile_id"]
                return 200, {"data": self._settings(name)}
        return None

    def _profile(self, asked: Any) -> Answer:
        if not asked.get("name") or not asked.get("whitelisted_destinations"):
            return _refused(422, "10015", "name or whitelisted_destinations")
        made = {"id": new_id(), "record_type": "messaging_profile", "enabled": True, "v1_secret": None}
        made |= {"webhook_url": "", "webhook_failover_url": "", "webhook_api_version": "2"}
        made |= {**asked, "created_at": iso(), "updated_at": iso()}
        self.profiles[str(made["id"])] = made
        return 200, {"data": made}

    def _settings(self, number_id: str) -> dict[str, Any]:
        number = self._numbers[number_id]
        can = {"domestic_two_way": True, "international_inbound": True, "international_outbound": True}
        return {
            "id": number_id,
            "record_type": "messaging_settings",
            "phone_number": number["phone_number"],
            "country_code": number["country_iso_alpha2"],
            "messaging_profile_id": self.enabled[number_id],
            "messaging_product": "A2P",
            "eligible_messaging_products": ["A2P"],
            "traffic_type": "A2P",
            "type": "long-code",
            "features": {"sms": can, "mms": None},
            "created_at": iso(),
            "updated_at": iso(),
        }

    def _profile_of(self, number: str) -> str | None:
        ids = (id_ for id_, one in self._numbers.items() if one["phone_number"] == number)
        return self.enabled.get(next(ids, ""))

    def _send(self, asked: Any) -> Answer:
        profile = self._profile_of(asked.get("from", ""))
        if profile is None:
            return _refused(400, "40305", "Invalid 'from' address")
        if not asked.get("to", "").startswith("+") or not asked.get("text"):
            return _refused(422, "10015", "to or text")
        if (profile, asked["to"]) in self.blocked:
            return _refused(403, "40300", "Blocked due to STOP message")
        made = {
            "id": str(uuid.uuid4()),
            "record_type": "message",
            "direction": "outbound",
            "type": "SMS",
            "organization_id": new_id(),
            "messaging_profile_id": profile,
            "from": {"phone_number": asked["from"], "carrier": "Telnyx", "line_type": "Wireless"},
            "to": [{"phone_number": asked["to"], "status": "queued", "carrier": "", "line_type": "Wireless"}],
            "text": asked["text"],
            "parts": 1,
            "encoding": "GSM-7",
            "cost": {"amount": "0.0040", "currency": "USD"},
            "media": [],
            "tags": [],
            "errors": [],
            "webhook_url": asked.get("webhook_url"),
            "received_at": iso(),
        }
        self.sent.append(made)
        return 200, {"data": json.loads(json.dumps(made))}

    # ── what it tells by itself, as bodies ───────────────────────────────────────────────────────
    def received(self, sender: str, number: str, words: str, **more: Any) -> bytes:
        """Somebody writes to a number. A STOP blocks what goes to them, a START ends that."""
        profile, said = self._profile_of(number) or "", words.strip().lower()
        if said in STOPS:
            self.blocked.add((profile, sender))
        elif said in STARTS:
            self.blocked.discard((profile, sender))
        payload = {
            "id": str(uuid.uuid4()),
            "record_type": "message",
            "direction": "inbound",
            "type": "SMS",
            "messaging_profile_id": profile,
            "organization_id": new_id(),
            "from": {"phone_number": sender, "carrier": "T-Mobile", "line_type": "Wireless"},
            "to": [{"phone_number": number, "status": "webhook_delivered", "carrier": "Telnyx"}],
            "cc": [],
            "text": words,
            "media": [],
            "parts": 1,
            "encoding": "GSM-7",
            "tags": [],
            "errors": [],
            "cost": {"amount": "0.0040", "currency": "USD"},
            "received_at": iso(),
            **more,
        }
        return _event("message.received", payload)

    def told(self, message: dict[str, Any], status: str, why: str = "") -> bytes:
        """What became of a message."""
        to = [{**message["to"][0], "status": status}]
        errors = [{"code": "40001", "title": why, "detail": why}] if why else []
        done = {} if status == "sent" else {"completed_at": iso()}
        kind = "message.sent" if status == "sent" else "message.finalized"
        return _event(kind, {**message, "to": to, "errors": errors, "sent_at": iso(), **done})


def _event(kind: str, payload: dict[str, Any]) -> bytes:
    data = {"record_type": "event", "id": str(uuid.uuid4()), "event_type": kind, "occurred_at": iso()}
    meta = {"attempt": 1, "delivered_to": "https://example.com/"}
    return json.dumps({"data": {**data, "payload": payload}, "meta": meta}).encode()


def _refused(status: int, code: str, title: str) -> Answer:
    return status, {"errors": [error(code, title)]}
