"""/v1/demo, /v1/contact, /v1/newsletter, /v1/events, /v1/stats: for anybody who asks."""

from functools import partial
from html import escape

from aiohttp import web

from api.agents.service import AgentNotFound
from api.calls import placing
from api.calls import service as calls
from api.contacts.service import MustNotCall
from api.db.engine import after_commit
from api.http.callers import address, identify
from api.http.errors import Forbidden, Invalid, Unauthorized
from api.http.negotiation import JSON, preferred
from api.http.rate_limits import Limit, network_of
from api.http.routes import Routes
from api.keys import CALLER, DATABASE, RATE_LIMITS, SESSION, SETTINGS, WORKERS
from api.public import demo, events, letters, service
from api.public.letters import Purpose
from api.public.schemas import (
    ContactReply,
    ContactRequest,
    DemoCall,
    DemoCallRequest,
    Event,
    EventList,
    EventQuery,
    EventReceipt,
    EventReport,
    LinkQuery,
    Stats,
    SubscribeReply,
    SubscribeRequest,
    SubscriptionReply,
)

routes = Routes("/v1/demo", tag="Public", access="public")
public = Routes("/v1", tag="Public", access="public")

DEMO_LIMIT = Limit("demo", 10, 3600)
"""Of one address: each request may make a stranger's telephone ring."""
CONTACT_LIMIT = Limit("contact", 5, 3600)
NEWSLETTER_LIMIT = Limit("newsletter", 5, 3600)
"""Of one address: each may put a letter into a stranger's mailbox."""
LINK_LIMIT = Limit("letter links", 30)
KNOWN_REPORTERS = Limit("events", 100)
UNKNOWN_REPORTERS = Limit("unknown events", 10)
STATS_LIMIT = Limit("stats", 30)
HTML = "text/html"
_HONEYPOT = "This field must stay empty"
_TOLD = {
    "confirmed": "You are subscribed. Thank you.",
    "unsubscribed": "You are not subscribed any more.",
}


@routes.post(
    "/call",
    limit=DEMO_LIMIT,
    errors=[
        AgentNotFound,
        MustNotCall,
        calls.NoPhoneLine,
        calls.DestinationRefused,
        calls.SpentToday,
        demo.CalledToday,
        demo.EnoughToday,
    ],
)
async def request_demo_call(request: web.Request, body: DemoCallRequest) -> DemoCall:
    """Ask to be called, for a minute, once a day. Without a line for that it is 503 `no phone line`."""
    session = request[SESSION]
    call = await demo.call(session, body, request.app[SETTINGS])
    after_commit(session, partial(placing.place, request.app[DATABASE], request.app[WORKERS].phones, call.id))
    return DemoCall(success=True, message="You are being called.", call_id=call.id)


@public.post("/contact", limit=CONTACT_LIMIT, errors=[letters.TooMuchMail])
async def write_to_us(request: web.Request, body: ContactRequest) -> ContactReply:
    """Write to whoever runs this installation."""
    if body.website:
        raise Invalid.at("body", "website", msg=_HONEYPOT, type="honeypot")
    await letters.write_to_us(request[SESSION], body, request.app[SETTINGS])
    return ContactReply(success=True, message="Thank you. Your message has arrived.")


@public.post("/newsletter/subscribe", limit=NEWSLETTER_LIMIT, errors=[letters.TooMuchMail])
async def subscribe_to_newsletter(request: web.Request, body: SubscribeRequest) -> SubscribeReply:
    """Ask for the newsletter; a letter with a link asks whether it was you."""
    was_there = await letters.subscribe(request[SESSION], body, request.app[SETTINGS])
    return SubscribeReply(ok=True, already_subscribed=was_there)


@public.get("/newsletter/confirm", limit=LINK_LIMIT, errors=[letters.LinkNoGood], produces=[HTML])
async def confirm_newsletter(request: web.Request, query: LinkQuery) -> SubscriptionReply | web.Response:
    """Say that it was you: the link in the letter."""
    return await _followed(request, query.token, "confirm")


@public.get("/unsubscribe", limit=LINK_LIMIT, errors=[letters.LinkNoGood], produces=[HTML])
async def unsubscribe(request: web.Request, query: LinkQuery) -> SubscriptionReply | web.Response:
    """End the newsletter: a link that stands in every letter."""
    return await _followed(request, query.token, "unsubscribe")


@public.post("/events", status=202, limit=KNOWN_REPORTERS)
async def report_event(request: web.Request, body: EventReport) -> EventReceipt:
    """Report something that happened in an application of yours; never send it a second time."""
    owner_id = None
    try:
        owner_id = (await identify(request)).owner_id
    except (Unauthorized, Forbidden):
        # Whoever gives no credentials, or bad ones, is heard too, but not as often.
        await request.app[RATE_LIMITS].take(UNKNOWN_REPORTERS, network_of(address(request)))
    severity, is_kept = await events.report(request[SESSION], owner_id, body)
    return EventReceipt(severity=severity, archived=is_kept)


@public.get("/events", access="caller", errors=[events.OnlyAdministrators, events.OnlyPeople])
async def list_events(request: web.Request, query: EventQuery) -> EventList:
    """Read the events that were kept, newest first: for the administrator, signed in."""
    rows, total = await events.kept(request[SESSION], request[CALLER], query)
    return EventList(events=[Event.of(row) for row in rows], total=total)


@public.get("/stats", limit=STATS_LIMIT)
async def get_stats(request: web.Request) -> Stats:
    """Say how much this installation was used."""
    return await service.stats(request[SESSION])


async def _followed(request: web.Request, token: str, purpose: Purpose) -> SubscriptionReply | web.Response:
    # A GET only reads, but what stands in a letter can be nothing else.
    async with request.app[DATABASE].transaction() as session:
        email = await letters.follow(session, token, purpose, request.app[SETTINGS])
    done: SubscriptionReply = SubscriptionReply(
        ok=True, email=email, status="confirmed" if purpose == "confirm" else "unsubscribed"
    )
    if preferred(request, (JSON, HTML), JSON) == JSON:
        return done
    told = _TOLD[done.status]
    text = f"<!doctype html><meta charset=utf-8><title>{told}</title><p>{escape(email)}: {told}</p>"
    return web.Response(text=text, content_type=HTML, charset="utf-8")
