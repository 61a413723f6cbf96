"""Composition root: settings in, application out."""

import asyncio
from collections.abc import AsyncIterator

from aiohttp import web

from api import work
from api.agents import routes as agents
from api.api_keys import routes as api_keys
from api.api_keys import service as api_keys_service
from api.api_keys.known import KnownKeys
from api.api_keys.usage import KeyUsage
from api.audit import routes as audit
from api.audit import service as audit_service
from api.auth import routes as auth
from api.auth import service as auth_service
from api.auth.passwords import Passwords
from api.branding import routes as branding
from api.calls import costs, listening, steering
from api.calls import routes as calls
from api.campaigns import routes as campaigns
from api.chats import routes as chats
from api.contacts import routes as contacts
from api.db.engine import Database
from api.db.vault import Vault
from api.end_users import routes as end_users
from api.end_users import service as end_users_service
from api.excluded import routes as excluded
from api.http import metrics, traces
from api.http.callers import Authenticators, admit
from api.http.edge import complete_headers, edge
from api.http.idempotency import Claimant
from api.http.metrics import Metrics
from api.http.rate_limits import RateLimits
from api.http.readiness import Readiness
from api.http.routes import Routes, mount
from api.http.shared_limits import RedisWindows
from api.http.transactions import one_transaction
from api.internal import routes as internal
from api.keys import (
    AUTHENTICATORS,
    BASES,
    CLAIMANT,
    DATABASE,
    KEY_USAGE,
    KNOWN_KEYS,
    METRICS,
    MOUNTED,
    PASSWORDS,
    RATE_LIMITS,
    READINESS,
    SETTINGS,
    VAULT,
)
from api.knowledge_base import routes as knowledge_base
from api.knowledge_base import service as bases
from api.notifications import routes as notifications
from api.payments import exchange
from api.payments import routes as payments
from api.phone_numbers import market_routes as numbers_market
from api.phone_numbers import routes as phone_numbers
from api.privacy import routes as privacy
from api.public import routes as public
from api.schedules import routes as schedules
from api.settings import Settings
from api.sip import routes as sip
from api.sip_trunks import routes as sip_trunks
from api.sms import routes as sms
from api.status import routes as status
from api.system import pages
from api.system import routes as system
from api.tenants import routes as tenants
from api.trunk_tests import routes as trunk_tests
from api.usage import routes as usage
from api.users import routes as users
from api.voice import chat, voices
from api.voice import routes as voice
from api.wallet import rates
from api.wallet import routes as wallet
from api.web_call import routes as web_call
from api.web_call import visitors as web_call_visitors
from api.webhooks import routes as webhooks
from api.widgets import pages as widget_pages
from api.widgets import routes as widgets
from api.widgets import visitors
from api.wizard import routes as wizard

MAX_JSON_BYTES = 1024 * 1024

RESOURCES: tuple[Routes, ...] = (
    auth.routes,
    users.routes,
    api_keys.routes,
    end_users.routes,
    audit.routes,
    wizard.routes,
    agents.routes,
    agents.of_functions,
    notifications.of_agents,
    notifications.routes,
    calls.routes,
    calls.links,
    steering.routes,
    listening.routes,
    knowledge_base.routes,
    voice.routes,
    voice.sessions,
    voices.routes,
    voices.audio,
    chat.routes,
    chats.routes,
    voices.providers,
    contacts.routes,
    contacts.do_not_call,
    calls.of_contacts,
    schedules.routes,
    campaigns.routes,
    phone_numbers.routes,
    numbers_market.numbers,
    phone_numbers.lent,
    sip_trunks.routes,
    trunk_tests.routes,
    sip.routes,
    sms.routes,
    widgets.routes,
    visitors.routes,
    widget_pages.routes,
    widget_pages.public,
    web_call.routes,
    web_call_visitors.routes,
    webhooks.routes,
    wallet.routes,
    wallet.pricing,
    payments.routes,
    exchange.routes,
    branding.routes,
    privacy.routes,
    tenants.routes,
    tenants.entries,
    usage.users,
    usage.agents,
    branding.domains,
    public.routes,
    public.public,
    status.routes,
    internal.routes,
    system.routes,
    pages.routes,
)
"""Every resource's routes, in the order of the OpenAPI document."""


def create_app(settings: Settings) -> web.Application:
    """The whole api. The database must have been migrated (`api.db.migrate.upgrade`)."""
    costs.load(settings.prices)  # a file that cannot be used stops us now, not in the first call
    rates.load(settings.rates)
    app = web.Application(middlewares=[edge, one_transaction], client_max_size=MAX_JSON_BYTES)
    app[SETTINGS] = settings
    app[VAULT] = Vault.of(settings)
    app[DATABASE] = Database(settings.database_url, app[VAULT])
    app[READINESS] = Readiness()
    app[BASES] = bases.owned
    app[CLAIMANT] = Claimant()
    redis = RedisWindows(settings.redis_url) if settings.redis_url else None
    app[RATE_LIMITS] = RateLimits(redis, is_on=settings.has_rate_limits)
    app[PASSWORDS] = Passwords()
    app[KNOWN_KEYS] = KnownKeys()
    app[KEY_USAGE] = KeyUsage()
    app[METRICS] = Metrics()
    app[AUTHENTICATORS] = Authenticators(
        access_token=auth_service.authenticate,
        api_key=api_keys_service.authenticate,
        end_user=end_users_service.authenticate,
    )
    app[MOUNTED] = RESOURCES
    app.on_response_prepare.append(complete_headers)
    app.cleanup_ctx.append(_database)
    app.cleanup_ctx.append(metrics.serving)
    if settings.otlp_endpoint:
        traces.install(app)
    if redis is not None:
        app.on_cleanup.append(lambda _: redis.close())
    work.install(app)
    mount(app, RESOURCES, admit, audit_service)
    excluded.install(app)
    system.install(app)
    pages.install(app)
    return app


async def _database(app: web.Application) -> AsyncIterator[None]:
    writing = asyncio.create_task(app[KEY_USAGE].write_for_ever(app[DATABASE]))
    yield
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    await app[KEY_USAGE].write(app[DATABASE])
    await app[DATABASE].close()
    app[PASSWORDS].close()
