"""/v1/sms: text messages of numbers that were bought here."""

from typing import Annotated, Any

from aiohttp import web
from pydantic import Field

from api.calls.spending import SpentToday
from api.calls.tolls import DestinationRefused
from api.contacts.service import MustNotCall
from api.http.errors import Invalid
from api.http.rate_limits import Limit
from api.http.routes import Routes
from api.http.wire import Wire
from api.keys import CALLER, CARRIER, DATABASE, SESSION, SETTINGS
from api.phone_numbers.market import NoCarrier
from api.phone_numbers.market_routes import NoEvent, NotSigned, event_of
from api.phone_numbers.market_schemas import Received
from api.phone_numbers.service import NumberNotFound
from api.sms import service
from api.sms.pacing import TooManyTexts
from api.sms.schemas import Sms, SmsCreate, SmsList, SmsQuery
from api.wallet.charges import InsufficientBalance

routes = Routes("/v1/sms", tag="SMS")

EVENTS_LIMIT = Limit("text events", 6_000)
"""All of a carrier's come from few addresses."""


class EventQuery(Wire):
    """Which message of ours an event is about, as its address says."""

    sms: Annotated[str, Field(max_length=50)] = ""


@routes.post(
    status=201,
    errors=[
        NoCarrier,
        NumberNotFound,
        service.NotForTexts,
        service.NoSender,
        TooManyTexts,
        MustNotCall,
        DestinationRefused,
        SpentToday,
        InsufficientBalance,
    ],
)
async def send_sms(request: web.Request, body: SmsCreate) -> Sms:
    """Send a text message from a number that you bought here. Its receipts change its `status`.

    A number sends 60 a minute; what is more waits as `queued`, for ten minutes at most.
    """
    if request.app[CARRIER] is None:
        raise NoCarrier
    return Sms.of(await service.send(request[SESSION], request[CALLER], body, request.app[SETTINGS]))


@routes.get()
async def list_sms(request: web.Request, query: SmsQuery) -> SmsList:
    """List text messages that came in and went out, newest first."""
    rows, total = await service.page(request[SESSION], request[CALLER], query)
    messages = [Sms.of(row) for row in rows]
    return SmsList(messages=messages, total=total, limit=query.limit, offset=query.offset)


@routes.post(
    "/webhooks/telnyx",
    public=True,
    limit=EVENTS_LIMIT,
    errors=[NotSigned, NoEvent, Invalid],
    reads=dict[str, Any],
)
async def receive_sms_event(request: web.Request, query: EventQuery) -> Received:
    """Take an event of Telnyx, signed in `telnyx-signature-ed25519`: a message that came, or a receipt."""
    event = await event_of(request)
    session = request[SESSION]
    if event.text is not None:
        await service.receive(session, event.text, request.app[SETTINGS])
    elif event.receipt is not None:
        request.app[DATABASE].make_durable(session)  # it may be charged
        await service.note_receipt(session, event.receipt, query.sms)
    return Received()
