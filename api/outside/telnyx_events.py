"""What Telnyx tells by itself: of the events, those that matter to us."""

from typing import Any

from pydantic import BaseModel

from api.outside.carrier import Event
from api.outside.telnyx_texts import MessageData
from api.outside.telnyx_things import Loose, Text


class EventPayload(BaseModel):
    """What an event is about."""

    id: Loose = ""


class EventData(BaseModel):
    """An event."""

    id: Text
    event_type: Text
    payload: dict[str, Any]


class EventBody(BaseModel):
    """A webhook's body."""

    data: EventData

    def event(self) -> Event:
        """In our words. Raises `ValueError` for one that is not as it should be."""
        told, kind = self.data, self.data.event_type
        if kind == "number_order.complete":
            return Event(told.id, kind, order_id=EventPayload.model_validate(told.payload).id)
        if kind == "message.received":
            return Event(told.id, kind, text=MessageData.model_validate(told.payload).text_in())
        if kind in {"message.sent", "message.finalized"}:
            return Event(told.id, kind, receipt=MessageData.model_validate(told.payload).receipt())
        return Event(told.id, kind)
