"""Text messages by Telnyx: https://developers.telnyx.com/docs/messaging

`POST /messages` takes an `Idempotency-Key`: one that succeeded is answered again and sent once, for a day.
"""

from typing import Annotated, Any
from urllib.parse import quote, urlencode

from pydantic import BaseModel, Field

from api.outside.telnyx_line import TelnyxLine
from api.outside.telnyx_things import Loose, Text, micros_of, read_all, read_one
from api.outside.texts import Accepted, Outcome, Receipt, TextIn, TextOut

MOST_CHARACTERS = 4_000
_OUTCOMES: dict[str, Outcome] = {
    "sent": "sent",
    "delivered": "delivered",
    "read": "delivered",
    "sending_failed": "failed",
    "delivery_failed": "failed",
    "expired": "failed",
    "delivery_unconfirmed": "unconfirmed",
}


class TelnyxTexts:
    """`api.outside.texts.Texts`."""

    def __init__(self, line: TelnyxLine) -> None:
        self._line = line

    async def send(self, text: TextOut) -> Accepted:
        """`POST /messages`."""
        asked: dict[str, Any] = {
            "from": text.sender,
            "to": text.recipient,
            "text": text.words,
            "type": "SMS",
            # One place for receipts, and never twice: a profile's would be told too.
            "use_profile_webhooks": not text.receipts_url,
        }
        if text.receipts_url:
            asked["webhook_url"] = text.receipts_url
        made = read_one(SentData, await self._line.ask("POST", "/messages", asked, key=text.key))
        return Accepted(made.id, _micros(made.cost) or 0)

    async def profile(self, name: str, events_url: str, countries: frozenset[str]) -> str:
        """`/messaging_profiles`: looked for by name before it is made, and told our address."""
        query = urlencode([("filter[name]", name), ("page[size]", "20")])
        for known in read_all(ProfileData, await self._line.ask("GET", f"/messaging_profiles?{query}")):
            if known.name == name:
                if known.webhook_url != events_url:
                    path = f"/messaging_profiles/{quote(known.id, safe='')}"
                    await self._line.ask("PATCH", path, {"webhook_url": events_url})
                return known.id
        asked = {
            "name": name,
            "enabled": True,
            "webhook_url": events_url,
            "webhook_api_version": "2",
            "whitelisted_destinations": sorted(countries) or ["*"],
        }
        return read_one(ProfileData, await self._line.ask("POST", "/messaging_profiles", asked)).id

    async def enable(self, number_id: str, profile_id: str) -> None:
        """`PATCH /phone_numbers/{id}/messaging`."""
        asked = {"messaging_profile_id": profile_id}
        await self._line.ask("PATCH", f"/phone_numbers/{quote(number_id, safe='')}/messaging", asked)


class CostData(BaseModel):
    """What a message costs."""

    amount: Loose = ""
    currency: Loose = ""


class SentData(BaseModel):
    """`message`, as it is answered."""

    id: Text
    cost: CostData | None = None


class ProfileData(BaseModel):
    """`messaging_profile`."""

    id: Text
    name: Loose = ""
    webhook_url: Loose = ""


class EndData(BaseModel):
    """Who wrote, or to whom."""

    phone_number: Loose = ""
    status: Loose = ""


class ErrorData(BaseModel):
    """Why a message failed."""

    title: Loose = ""


class MessageData(BaseModel):
    """`message`, as events tell it."""

    id: Text
    direction: Loose = ""
    sender: EndData = Field(default_factory=EndData, alias="from")
    to: list[EndData] = Field(default_factory=list, max_length=100)
    text: Annotated[str, Field(max_length=100_000)] | None = None
    media: list[Any] | None = None
    errors: list[ErrorData] | None = None
    cost: CostData | None = None
    autoresponse_type: Loose = ""

    def text_in(self) -> TextIn | None:
        """Of `message.received`; None where it is to nobody."""
        if self.direction != "inbound" or not self.to:
            return None
        return TextIn(
            carrier_id=self.id,
            sender=self.sender.phone_number,
            recipient=self.to[0].phone_number,
            words=(self.text or "").replace("\x00", "")[:MOST_CHARACTERS],
            has_media=bool(self.media),
            is_answered=bool(self.autoresponse_type),
        )

    def receipt(self) -> Receipt | None:
        """Of `message.sent` and `message.finalized`; None for what is still on its way."""
        if self.direction != "outbound" or not self.to or self.to[0].status not in _OUTCOMES:
            return None
        why = next((one.title for one in self.errors or () if one.title), "")
        return Receipt(
            carrier_id=self.id,
            sender=self.sender.phone_number,
            recipient=self.to[0].phone_number,
            outcome=_OUTCOMES[self.to[0].status],
            why="".join(c if c.isprintable() else " " for c in why)[:200],
            cost_micros=_micros(self.cost),
        )


def _micros(cost: CostData | None) -> int | None:
    """Micro-dollars; None where it is not told, or in another currency."""
    return micros_of(cost.amount) if cost is not None and cost.currency.upper() == "USD" else None


__all__ = ["MessageData", "TelnyxTexts"]
