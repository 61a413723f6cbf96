"""Telnyx: numbers searched, ordered and given back, and the connection that their calls come over.

https://developers.telnyx.com/api: JSON in, JSON out, everything under `data`. What changes something is
not repeated by the line itself where a lost answer leaves open whether it happened: orders carry a
reference of ours, and connections a name, by which they are found again.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from urllib.parse import quote, urlencode

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from api.outside.carrier import (
    Account,
    CarrierRefused,
    CarrierUnavailable,
    Credentials,
    Event,
    Forged,
    Held,
    Offer,
    Order,
    Reservation,
    Wanted,
)
from api.outside.telnyx_events import EventBody
from api.outside.telnyx_line import TelnyxLine
from api.outside.telnyx_texts import TelnyxTexts
from api.outside.telnyx_things import (
    AccountData,
    ConnectionData,
    HeldData,
    OfferData,
    OrderData,
    ProfileData,
    ReservationData,
    SubOrderData,
    read_all,
    read_one,
)
from api.outside.texts import Texts

URL = "https://api.telnyx.com/v2"
TOLERANCE_SECONDS = 300


class Telnyx:
    """One account at Telnyx."""

    name = "telnyx"

    def __init__(self, key: str, public_keys: tuple[str, ...] = (), url: str = URL) -> None:
        self._line = TelnyxLine(url, key)
        self.texts: Texts = TelnyxTexts(self._line)
        self._keys = tuple(Ed25519PublicKey.from_public_bytes(base64.b64decode(one)) for one in public_keys)

    async def close(self) -> None:
        """Let the connections go."""
        await self._line.close()

    # ── numbers that can be bought ───────────────────────────────────────────────────────────────
    async def search(self, wanted: Wanted) -> Sequence[Offer]:
        """`GET /available_phone_numbers`: only exact matches, and those priced in dollars."""
        asked: list[tuple[str, str]] = [
            ("filter[country_code]", wanted.country),
            ("filter[limit]", str(wanted.limit)),
            ("filter[best_effort]", "false"),
        ]
        for name, value in (
            ("filter[phone_number_type]", wanted.kind),
            ("filter[national_destination_code]", wanted.area_code),
            ("filter[locality]", wanted.locality),
            ("filter[phone_number][contains]", wanted.contains),
            ("filter[features]", ",".join(wanted.features)),  # as their own SDK writes a list
        ):
            if value:
                asked.append((name, value))
        told = await self._line.ask("GET", f"/available_phone_numbers?{urlencode(asked)}")
        found = [offer.offer() for offer in read_all(OfferData, told)]
        needed = set(wanted.features)
        return [offer for offer in found if offer and needed <= set(offer.features)][: wanted.limit]

    async def reserve(self, number: str, reference: str) -> Reservation:
        """`POST /number_reservations`: for half an hour."""
        asked = {"phone_numbers": [{"phone_number": number}], "customer_reference": reference}
        made = read_one(ReservationData, await self._line.ask("POST", "/number_reservations", asked))
        if made.status == "failure":
            raise CarrierRefused("The number could not be reserved.")
        return made.reservation()

    # ── orders ───────────────────────────────────────────────────────────────────────────────────
    async def order(self, number: str, reference: str, connection_id: str) -> Order:
        """`POST /number_orders` for one number, straight onto the connection."""
        asked = {
            "phone_numbers": [{"phone_number": number}],
            "connection_id": connection_id,
            "customer_reference": reference,
        }
        return read_one(OrderData, await self._line.ask("POST", "/number_orders", asked)).order()

    async def ordered(self, reference: str) -> Order | None:
        """`GET /number_orders` by reference: of several, the one that did not fail."""
        query = urlencode([("filter[customer_reference]", reference), ("page[size]", "20")])
        found = [
            order
            for order in read_all(OrderData, await self._line.ask("GET", f"/number_orders?{query}"))
            if order.customer_reference == reference
        ]
        found.sort(key=lambda order: order.status == "failure")
        return await self.get_order(found[0].id) if found else None

    async def get_order(self, order_id: str) -> Order:
        """`GET /number_orders/{id}`."""
        told = await self._line.ask("GET", f"/number_orders/{quote(order_id, safe='')}")
        return read_one(OrderData, told).order()

    async def cancel(self, order_id: str) -> None:
        """Every part of an order, as Telnyx has it: `PATCH /sub_number_orders/{id}/cancel`."""
        query = urlencode([("filter[order_request_id]", order_id)])
        for part in read_all(SubOrderData, await self._line.ask("GET", f"/sub_number_orders?{query}")):
            if part.order_request_id == order_id and part.status == "pending":
                await self._line.ask("PATCH", f"/sub_number_orders/{quote(part.id, safe='')}/cancel")

    # ── numbers of ours ──────────────────────────────────────────────────────────────────────────
    async def held(self, number: str) -> Held | None:
        """`GET /phone_numbers` by number: digits alone, as the filter wants them."""
        query = urlencode([("filter[phone_number]", number.lstrip("+")), ("page[size]", "20")])
        for one in read_all(HeldData, await self._line.ask("GET", f"/phone_numbers?{query}")):
            if one.phone_number == number and one.status not in {"deleted", "purchase-failed", "ported-out"}:
                return one.held()
        return None

    async def assign(self, number_id: str, connection_id: str) -> None:
        """`PATCH /phone_numbers/{id}`."""
        asked = {"connection_id": connection_id}
        await self._line.ask("PATCH", f"/phone_numbers/{quote(number_id, safe='')}", asked)

    async def release(self, number_id: str) -> None:
        """`DELETE /phone_numbers/{id}`."""
        await self._line.ask("DELETE", f"/phone_numbers/{quote(number_id, safe='')}", may_be_gone=True)

    # ── the way that calls come ──────────────────────────────────────────────────────────────────
    async def connect(self, credentials: Credentials) -> str:
        """A credential connection, and a profile for calls out; each looked for by name before it is made."""
        query = urlencode([("filter[connection_name][contains]", credentials.name), ("page[size]", "20")])
        told = await self._line.ask("GET", f"/credential_connections?{query}")
        for known in read_all(ConnectionData, told):
            if known.connection_name == credentials.name and known.user_name == credentials.name:
                return known.id
        asked = {
            "connection_name": credentials.name,
            "user_name": credentials.name,
            "password": credentials.password,
            "active": True,
            "anchorsite_override": "Latency",
            "sip_uri_calling_preference": "disabled",
            "inbound": {"ani_number_format": "+E.164", "dnis_number_format": "+e164"},
            "outbound": {"outbound_voice_profile_id": await self._profile(credentials.name)},
        }
        return read_one(ConnectionData, await self._line.ask("POST", "/credential_connections", asked)).id

    async def _profile(self, name: str) -> str:
        query = urlencode([("filter[name][contains]", name), ("page[size]", "20")])
        for known in read_all(ProfileData, await self._line.ask("GET", f"/outbound_voice_profiles?{query}")):
            if known.name == name:
                return known.id
        asked = {"name": name, "traffic_type": "conversational", "service_plan": "global"}
        return read_one(ProfileData, await self._line.ask("POST", "/outbound_voice_profiles", asked)).id

    async def account(self) -> Account:
        """`GET /balance`."""
        return read_one(AccountData, await self._line.ask("GET", "/balance")).account()

    # ── events ───────────────────────────────────────────────────────────────────────────────────
    def read(self, headers: Mapping[str, str], raw: bytes, now: float) -> Event:
        """`telnyx-signature-ed25519`, over `timestamp|body`."""
        stamp = headers.get("telnyx-timestamp", "")
        if not stamp.isascii() or not stamp.isdigit() or len(stamp) > 12:
            raise Forged
        if abs(now - int(stamp)) > TOLERANCE_SECONDS:
            raise Forged
        try:
            signature = base64.b64decode(headers.get("telnyx-signature-ed25519", ""), validate=True)
        except ValueError:
            raise Forged from None
        if not any(_is_signed(key, signature, f"{stamp}|".encode() + raw) for key in self._keys):
            raise Forged
        return EventBody.model_validate(json.loads(raw)).event()


def _is_signed(key: Ed25519PublicKey, signature: bytes, message: bytes) -> bool:
    try:
        key.verify(signature, message)
    except InvalidSignature:
        return False
    return True


__all__ = ["URL", "CarrierRefused", "CarrierUnavailable", "Telnyx"]
