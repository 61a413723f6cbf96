"""Every typed key of the application and of a request."""

from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlmodel.ext.asyncio.session import AsyncSession

    from api.agents.known_bases import Bases
    from api.api_keys.known import KnownKeys
    from api.api_keys.usage import KeyUsage
    from api.auth.passwords import Passwords
    from api.chats.talks import Talks
    from api.db.engine import Database
    from api.db.vault import Vault
    from api.http.callers import Authenticators, Caller
    from api.http.event_streams import Watchers
    from api.http.idempotency import Claim, Claimant
    from api.http.metrics import Metrics
    from api.http.rate_limits import RateLimits
    from api.http.readiness import Readiness
    from api.http.routes import Routes
    from api.internal.workers import Workers
    from api.knowledge_base.answers import Answers
    from api.outside.carrier import Carrier
    from api.outside.google import GoogleTokens
    from api.outside.payments import Provider
    from api.outside.rooms import Rooms
    from api.outside.speech import Speech
    from api.outside.storage import Storage
    from api.settings import Settings
    from pipelines.outbound import Guard

# ── of the application ───────────────────────────────────────────────────────────────────────────
SETTINGS: "web.AppKey[Settings]" = web.AppKey("settings")
DATABASE: "web.AppKey[Database]" = web.AppKey("database")
VAULT: "web.AppKey[Vault]" = web.AppKey("vault")
READINESS: "web.AppKey[Readiness]" = web.AppKey("readiness")
AUTHENTICATORS: "web.AppKey[Authenticators]" = web.AppKey("authenticators")
RATE_LIMITS: "web.AppKey[RateLimits]" = web.AppKey("rate_limits")
KNOWN_KEYS: "web.AppKey[KnownKeys]" = web.AppKey("known_keys")
KEY_USAGE: "web.AppKey[KeyUsage]" = web.AppKey("key_usage")
PASSWORDS: "web.AppKey[Passwords]" = web.AppKey("passwords")
CLAIMANT: "web.AppKey[Claimant]" = web.AppKey("claimant")
MOUNTED: "web.AppKey[tuple[Routes, ...]]" = web.AppKey("mounted")
ROOMS: "web.AppKey[Rooms]" = web.AppKey("rooms")
METRICS: "web.AppKey[Metrics]" = web.AppKey("metrics")
PAYMENTS: "web.AppKey[Mapping[str, Provider]]" = web.AppKey("payments")
STORAGE: "web.AppKey[Storage]" = web.AppKey("storage")
KNOWLEDGE: "web.AppKey[Storage]" = web.AppKey("knowledge")
ANSWERS: "web.AppKey[Answers]" = web.AppKey("answers")
SPEECH: "web.AppKey[Speech]" = web.AppKey("speech")
CARRIER: "web.AppKey[Carrier | None]" = web.AppKey("carrier")
GOOGLE: "web.AppKey[GoogleTokens]" = web.AppKey("google")
GUARD: "web.AppKey[Guard]" = web.AppKey("guard")
TALKS: "web.AppKey[Talks]" = web.AppKey("talks")
WATCHERS: "web.AppKey[Watchers]" = web.AppKey("watchers")
BASES: "web.AppKey[Bases]" = web.AppKey("bases")
WORKERS: "web.AppKey[Workers]" = web.AppKey("workers")

# ── of a request ─────────────────────────────────────────────────────────────────────────────────
SESSION: "web.RequestKey[AsyncSession]" = web.RequestKey("session")
CALLER: "web.RequestKey[Caller]" = web.RequestKey("caller")
CLAIM: "web.RequestKey[Claim]" = web.RequestKey("claim")
"""Of a request that carries an `Idempotency-Key`."""
REQUEST_ID: "web.RequestKey[str]" = web.RequestKey("request_id")
CROSS_ORIGIN: "web.RequestKey[str]" = web.RequestKey("cross_origin")
"""The page that may read this reply although it is of another origin."""
