"""An account at Telnyx as far as we use it: what is on sale, ordered and owned, and what goes wrong."""

import base64
import itertools
import json
import threading
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.support.telnyx_shapes import Answer, Query, Stock, error, iso, new_id, offer, page, part
from tests.support.telnyx_texts import FakeTexts

KEY = "KEY_stand_in_not_to_be_seen"


@dataclass
class Fault:
    """What goes wrong, as often as it is said."""

    method: str
    path: str
    kind: str
    """A status, `lost` (done, and no answer comes) or `hang` (nothing is done, and no answer comes)."""
    times: int = 1
    headers: dict[str, str] = field(default_factory=dict)


class Lost(Exception):
    """The answer does not arrive"""


class FakeTelnyx:
    """One account."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[tuple[str, str, Any]] = []
        self.stock: dict[str, Stock] = {}
        self.orders: dict[str, dict[str, Any]] = {}
        self.numbers: dict[str, dict[str, Any]] = {}
        self.connections: dict[str, dict[str, Any]] = {}
        self.profiles: dict[str, dict[str, Any]] = {}
        self.texts = FakeTexts(self.numbers)
        self.reservations: dict[str, dict[str, Any]] = {}
        self.faults: list[Fault] = []
        self.looks = 0
        """How often a pending order is looked at before it is over; below nothing: it stays."""
        self.balance = "100.00"
        self.private = Ed25519PrivateKey.generate()
        self._lock = threading.Lock()
        self._count = itertools.count(1)

    @property
    def public_key(self) -> str:
        """As the portal shows it."""
        return base64.b64encode(self.private.public_key().public_bytes_raw()).decode()

    def sell(self, number: str, **how: Any) -> str:
        """Put a number on sale."""
        self.stock[number] = Stock(number, **how)
        return number

    def own(self, number: str) -> None:
        """Have a number, without an order of it."""
        self._own(number, None, None)

    def fault(self, method: str, path: str, kind: str, times: int = 1, **headers: str) -> None:
        """Have something go wrong."""
        self.faults.append(Fault(method, path, kind, times, headers))

    def count(self, method: str, path: str) -> int:
        """How often something was asked for."""
        return sum((m, p) == (method, path) for m, p, _ in self.asked)

    def bought(self, number: str) -> list[dict[str, Any]]:
        """The orders of a number that were not failures."""
        return [
            order
            for order in self.orders.values()
            if order["phone_numbers"][0]["phone_number"] == number and order["status"] != "failure"
        ]

    def finish(self, order_id: str) -> None:
        """An order is over, one way or the other."""
        order = self.orders[order_id]
        if order["status"] != "pending":
            return
        number = order["phone_numbers"][0]["phone_number"]
        stock = self.stock[number]
        order["status"] = order["phone_numbers"][0]["status"] = stock.outcome
        order["updated_at"] = iso()
        if stock.outcome == "success":
            self._own(number, order["connection_id"], order["customer_reference"])

    def event(self, order_id: str, kind: str = "number_order.complete") -> bytes:
        """The event of an order, as a body."""
        data = {
            "record_type": "event",
            "id": str(uuid.uuid4()),
            "event_type": kind,
            "occurred_at": iso(),
            "payload": {**self.orders[order_id], "record_type": "number_order"},
        }
        meta = {"attempt": 1, "delivered_to": "https://example.com/"}
        return json.dumps({"data": data, "meta": meta}).encode()

    def signed(self, raw: bytes, at: float | None = None) -> dict[str, str]:
        """The headers that sign a body."""
        stamp = str(int(time.time() if at is None else at))
        made = base64.b64encode(self.private.sign(f"{stamp}|".encode() + raw)).decode()
        return {"telnyx-signature-ed25519": made, "telnyx-timestamp": stamp}

    # ── what it answers ──────────────────────────────────────────────────────────────────────────
    def answer(self, method: str, path: str, query: Query, raw: bytes, key: str, once: str = "") -> Answer:
        """One request; `Lost` where no answer comes."""
        with self._lock:
            asked = json.loads(raw or b"{}")
            self.asked.append((method, path, asked or query))
            fault = next((f for f in self.faults if f.method == method and path.startswith(f.path)), None)
            if fault is not None:
                fault.times -= 1
                if fault.times <= 0:
                    self.faults.remove(fault)
                if fault.kind.isdigit():
                    return int(fault.kind), {"errors": [error(fault.kind, "Made to fail"), fault.headers]}
                if fault.kind == "hang":
                    raise Lost
            if key != f"Bearer {KEY}":
                return 401, {"errors": [error("10009", "Authentication failed")]}
            parts = path.strip("/").split("/")
            told = self.texts.answer(method, parts, query, asked, raw, once)
            if told is None:
                told = self._answer(method, parts, query, asked)
            if fault is not None:
                raise Lost
            return told

    def _answer(self, method: str, parts: list[str], query: Query, asked: Any) -> Answer:  # noqa: PLR0911 - a table
        match method, parts:
            case "GET", ["available_phone_numbers"]:
                return self._search(query)
            case "GET", ["balance"]:
                amounts = {"balance": self.balance, "available_credit": self.balance, "credit_limit": "0.00"}
                return 200, {"data": {"record_type": "balance", "currency": "USD", **amounts}}
            case "POST", ["number_reservations"]:
                return self._reserve(asked)
            case "POST", ["number_orders"]:
                return self._order(asked)
            case "GET", ["number_orders"]:
                reference = query.get("filter[customer_reference]")
                return page(o for o in self.orders.values() if reference in (None, o["customer_reference"]))
            case "GET", ["number_orders", name] if name in self.orders:
                self._pass(self.orders[name])
                return 200, {"data": self.orders[name]}
            case "GET", ["sub_number_orders"]:
                wanted = query.get("filter[order_request_id]")
                return page(part(o) for o in self.orders.values() if wanted in (None, o["id"]))
            case "PATCH", ["sub_number_orders", name, "cancel"] if (o := self._parent(name)) is not None:
                if o["status"] == "pending":
                    o["status"] = o["phone_numbers"][0]["status"] = "failure"
                return 200, {"data": {**part(o), "status": "cancelled"}}
            case "GET", ["phone_numbers"]:
                digits = query.get("filter[phone_number]", "")
                return page(n for n in self.numbers.values() if digits in n["phone_number"])
            case _, ["phone_numbers", name] if name in self.numbers:
                return self._number(method, name, asked)
            case method, [("credential_connections" | "outbound_voice_profiles") as kind]:
                return self._connection(method, kind, query, asked)
        return 404, {"errors": [error("10005", "Resource not found")]}

    def _search(self, query: Query) -> Answer:
        country, kind = query.get("filter[country_code]"), query.get("filter[phone_number_type]")
        area = query.get("filter[national_destination_code]", "")
        contains = query.get("filter[phone_number][contains]", "")
        features = set(filter(None, query.get("filter[features]", "").split(",")))
        found = [
            one
            for one in self.stock.values()
            if one.country == country
            and kind in (None, one.kind)
            and one.number[2:].startswith(area)
            and contains in one.number
            and features <= set(one.features)
            and query.get("filter[locality]", one.locality).lower() == one.locality.lower()
            and not self._is_taken(one.number)
        ]
        listed = [offer(one) for one in found[: int(query.get("filter[limit]", "100"))]]
        meta = {"total_results": len(listed), "best_effort_results": 0}
        return 200, {"data": listed, "meta": meta, "metadata": meta}

    def _is_taken(self, number: str) -> bool:
        return bool(self.bought(number)) or any(n["phone_number"] == number for n in self.numbers.values())

    def _reserve(self, asked: Any) -> Answer:
        number = asked["phone_numbers"][0]["phone_number"]
        if number not in self.stock or self._is_taken(number):
            return 422, {"errors": [error("85007", "Number not available")]}
        until = (datetime.now(UTC) + timedelta(minutes=30)).isoformat()
        times = {"created_at": iso(), "updated_at": iso()}
        one = {
            "id": new_id(),
            "record_type": "reserved_phone_number",
            "phone_number": number,
            "expired_at": until,
        }
        made = {
            "id": new_id(),
            "record_type": "number_reservation",
            "status": "success",
            "errors": "",
            **times,
        }
        made |= {"customer_reference": asked.get("customer_reference")}
        made |= {"phone_numbers": [{**one, "status": "success", "errors": "", **times}]}
        self.reservations[made["id"]] = made
        return 200, {"data": made}

    def _order(self, asked: Any) -> Answer:
        numbers = [one["phone_number"] for one in asked.get("phone_numbers", [])]
        connection = asked.get("connection_id")
        if len(numbers) != 1 or (connection is not None and connection not in self.connections):
            return 422, {"errors": [error("10015", "Bad Request", "phone_numbers or connection_id")]}
        if numbers[0] not in self.stock or self._is_taken(numbers[0]):
            return 422, {"errors": [error("85001", "Number not available", "It was bought already")]}
        if float(self.balance) <= 0:
            return 402, {"errors": [error("20100", "Insufficient funds")]}
        stock = self.stock[numbers[0]]
        one = {
            "id": new_id(),
            "record_type": "number_order_phone_number",
            "phone_number": stock.number,
            "country_code": stock.country,
            "phone_number_type": stock.kind,
            "status": "pending",
            "regulatory_requirements": [],
            "requirements_met": not stock.needs_documents,
            "requirements_status": "pending" if stock.needs_documents else "approved",
        }
        made = {
            "id": new_id(),
            "record_type": "number_order",
            "status": "pending",
            "phone_numbers": [one],
            "phone_numbers_count": 1,
            "connection_id": connection,
            "messaging_profile_id": None,
            "billing_group_id": None,
            "customer_reference": asked.get("customer_reference"),
            "requirements_met": not stock.needs_documents,
            "sub_number_orders_ids": [new_id()],
            "created_at": iso(),
            "updated_at": iso(),
        }
        self.orders[str(made["id"])] = made
        if self.looks == 0 and not stock.needs_documents:
            self.finish(str(made["id"]))
        return 200, {"data": json.loads(json.dumps(made))}

    def _pass(self, order: dict[str, Any]) -> None:
        """Time goes by for an order each time somebody looks."""
        seen = order["seen"] = order.get("seen", 0) + 1
        if order["requirements_met"] and 0 <= self.looks <= seen:
            self.finish(order["id"])

    def _parent(self, part_id: str) -> dict[str, Any] | None:
        return next((o for o in self.orders.values() if part_id in o["sub_number_orders_ids"]), None)

    def _own(self, number: str, connection: Any, reference: Any) -> None:
        id_ = str(1_293_384_261_075_731_400 + next(self._count))
        self.numbers[id_] = {
            "id": id_,
            "record_type": "phone_number",
            "phone_number": number,
            "status": "active",
            "connection_id": connection,
            "customer_reference": reference,
            "phone_number_type": self.stock[number].kind,
            "country_iso_alpha2": self.stock[number].country,
            "deletion_lock_enabled": False,
            "tags": [],
            "created_at": iso(),
            "purchased_at": iso(),
        }

    def _number(self, method: str, name: str, asked: Any) -> Answer:
        known = self.numbers[name]
        if method == "PATCH":
            if asked.get("connection_id") not in self.connections:
                return 422, {"errors": [error("10015", "Bad Request", "connection_id")]}
            known |= asked
        elif method == "DELETE":
            del self.numbers[name]
            for order in self.orders.values():  # it is for sale again
                if order["phone_numbers"][0]["phone_number"] == known["phone_number"]:
                    order["phone_numbers"][0]["phone_number"] += " (released)"
            return 200, {"data": {**known, "status": "deleted"}}
        return 200, {"data": known}

    def _connection(self, method: str, kind: str, query: Query, asked: Any) -> Answer:
        is_profile = kind == "outbound_voice_profiles"
        kept = self.profiles if is_profile else self.connections
        field_ = "name" if is_profile else "connection_name"
        if method == "GET":
            part = query.get(f"filter[{field_}][contains]", "")
            return page(one for one in kept.values() if part.lower() in one[field_].lower())
        name = asked.get(field_, "")
        wrong = not name or any(one[field_] == name for one in kept.values())
        if not is_profile:
            user, password = asked.get("user_name", ""), asked.get("password", "")
            wrong |= not (4 <= len(user) <= 32 and user.isalnum() and 8 <= len(password) <= 128)
            wrong |= asked.get("outbound", {}).get("outbound_voice_profile_id") not in self.profiles
        if wrong:
            return 422, {"errors": [error("10015", "Bad Request", field_)]}
        id_ = str(next(self._count) + 1_700_000_000_000_000_000)
        kept[id_] = {"id": id_, "record_type": kind.removesuffix("s"), **asked}
        return 201 if is_profile else 200, {"data": kept[id_]}
