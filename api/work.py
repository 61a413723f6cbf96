"""What runs beside the requests: rooms, storage, the watch over workers, durable work and its sweeper."""

import asyncio
import shutil
from collections.abc import AsyncIterator

from aiohttp import web

from api.audit import service as audit
from api.calls import actions, costs, counting, placing, workflows
from api.calls import service as calls
from api.campaigns import workflows as campaigns
from api.chats.talks import Talks
from api.durable import engine, letters, sweeper
from api.http import idempotency
from api.http.event_streams import Watchers
from api.internal.livekit_phones import LiveKitPhones
from api.internal.workers import Workers
from api.keys import (
    ANSWERS,
    CARRIER,
    CLAIMANT,
    DATABASE,
    GOOGLE,
    GUARD,
    KNOWLEDGE,
    METRICS,
    PAYMENTS,
    READINESS,
    ROOMS,
    SETTINGS,
    SPEECH,
    STORAGE,
    TALKS,
    WATCHERS,
    WORKERS,
)
from api.knowledge_base import workflows as knowledge
from api.knowledge_base.answers import Answers
from api.notifications import texts as notices
from api.outside.bucket import BucketStorage
from api.outside.carrier import Carrier
from api.outside.google import GoogleTokens
from api.outside.livekit_sip import LiveKitSip
from api.outside.mail import FileMail, SmtpMail
from api.outside.paddle import Paddle
from api.outside.payments import Provider
from api.outside.rooms import LiveKitRooms
from api.outside.speech import Speech
from api.outside.storage import FolderStorage, Storage
from api.outside.stripe import Stripe
from api.outside.telnyx import Telnyx
from api.payment_settings import Payments
from api.payments import recharge
from api.phone_numbers import checkouts, demo, renting
from api.phone_numbers import workflows as numbers
from api.privacy import erasure, exporting, retention
from api.public import events
from api.public import letters as public_letters
from api.schedules import requests as scheduled
from api.schedules import workflows as schedules
from api.sms import enabling as texting
from api.sms import means, notifying, queues
from api.sms import workflows as texts
from api.status import service as availability
from api.stuck import service as stuck
from api.telephone_settings import Carrier as CarrierSettings
from api.voice import events as livekit_events
from api.wallet import chat_charges
from api.webhooks import workflows as deliveries
from api.wizard import service as wizard
from pipelines.outbound import Guard

NEEDED_BYTES = 16 * 1024 * 1024
"""Below this the database cannot grow, nor a recording begin."""

QUEUES = {
    deliveries.QUEUE: deliveries.AT_ONCE,
    letters.QUEUE: letters.AT_ONCE,
    erasure.QUEUE: erasure.QUEUED_AT_ONCE,
    schedules.QUEUE: schedules.AT_ONCE,
    campaigns.QUEUE: campaigns.AT_ONCE,
    numbers.QUEUE: numbers.AT_ONCE,
    queues.SENDING: queues.SENDING_AT_ONCE,
    queues.ANSWERING: queues.ANSWERING_AT_ONCE,
}


async def _forget_answers() -> None:
    await idempotency.sweep(engine.reach().database)


async def _forget_livekit() -> None:
    await livekit_events.sweep(engine.reach().database)


async def _forget_wizards() -> None:
    await wizard.sweep(engine.reach().database)


async def _forget_holds() -> None:
    async with engine.reach().database.transaction() as session:
        await chat_charges.forget_abandoned(session)


async def _forget_old_audit() -> None:
    async with engine.reach().database.transaction() as session:
        await audit.forget_old(session)


SWEEPS: dict[str, sweeper.Sweep] = {
    "adopt": engine.adopt,
    "letters": letters.sweep,
    "answers kept": _forget_answers,
    "livekit events": _forget_livekit,
    "old wizards": _forget_wizards,
    "undelivered": deliveries.sweep,
    "due calls": schedules.sweep,
    "campaigns": campaigns.sweep,
    "unsettled": workflows.sweep_unsettled,
    "unanalysed": workflows.sweep_unanalysed,
    "orphans": workflows.sweep_orphans,
    "unused": workflows.sweep_unused,
    "counted calls": counting.sweep,
    "low balances": recharge.sweep,
    "holds of lost answers": _forget_holds,
    "uploads": workflows.sweep_uploads,
    "unread knowledge": knowledge.sweep_unread,
    "old knowledge": knowledge.sweep_refresh,
    "replaced knowledge": knowledge.sweep_replaced,
    "forgotten knowledge": knowledge.sweep_forgotten,
    "old audit log": _forget_old_audit,
    "lent numbers": demo.sweep,
    "bought numbers": numbers.sweep,
    "unpaid numbers": checkouts.forget_unpaid,
    "rents": renting.sweep,
    "texts": texts.sweep,
    "no longer stuck": stuck.sweep,
    "old events": events.sweep,
    "old messages": public_letters.sweep,
    "what agents keep no longer": retention.sweep,
    "erasures": erasure.sweep,
    "exports": exporting.sweep,
}


def install(app: web.Application) -> None:
    """Let the application start and stop it all, and answer for it in /ready."""
    app[STORAGE] = _storage(app, "recordings")
    app[KNOWLEDGE] = _storage(app, "knowledge")
    app[ANSWERS] = Answers(
        app[KNOWLEDGE],
        app[SETTINGS].home / "knowledge-cache" / "api",
        app[SETTINGS].run / "models.sock",
        app[SETTINGS].providers.embeddings,
        app[SETTINGS].providers.reranker,
    )
    app[PAYMENTS] = _payments(app[SETTINGS].payments)
    app[CARRIER] = _carrier(app[SETTINGS].carrier)
    app[WATCHERS] = Watchers()
    app[GUARD] = Guard(app[SETTINGS].allowed_hosts)
    app[GOOGLE] = GoogleTokens(app[SETTINGS].google, app[GUARD])
    app[SPEECH] = Speech(app[SETTINGS].providers, app[SETTINGS].run / "models.sock")
    notices.lay_down(notifying.Notices(app[SETTINGS], app[CARRIER] is not None))
    actions.ELSEWHERE["schedule_call"] = scheduled.schedule_call
    app.cleanup_ctx.append(_at_work)
    app[TALKS] = Talks(app[DATABASE], app[SETTINGS], costs.load(app[SETTINGS].prices))
    app.on_shutdown.append(_let_workers_go)

    async def livekit() -> str:
        return "" if await app[ROOMS].is_up() else "livekit-server does not answer"

    async def worker() -> str:
        return await app[WORKERS].why_not()

    async def disk() -> str:
        free = shutil.disk_usage(app[SETTINGS].home).free
        return "" if free >= NEEDED_BYTES else f"the disk of {app[SETTINGS].home} is full"

    async def figures() -> None:
        metrics = app[METRICS]
        async with app[DATABASE].transaction(writes=False) as session:
            running, unsettled = await calls.counts(session)
            metrics.given_up.set(await stuck.given_up(session))
        metrics.calls_running.set(running)
        metrics.calls_unsettled.set(unsettled)
        metrics.workers_ready.set(sum(worker.is_ready for worker in await app[WORKERS].present()))

    app[METRICS].look_with(figures)
    app[READINESS].register("disk", disk)
    app[READINESS].register("livekit", livekit)
    app[READINESS].register("worker", worker)


def _storage(app: web.Application, kind: str) -> Storage:
    folder, bucket = app[SETTINGS].home / kind, app[SETTINGS].bucket
    if bucket is None:
        return FolderStorage(folder)
    there = BucketStorage(bucket, kind, folder)
    app[READINESS].register(kind, there.why_not)
    return there


def _payments(settings: Payments) -> dict[str, Provider]:
    made: dict[str, Provider] = {}
    for name in settings.providers:
        if name == "stripe":
            made[name] = Stripe(settings.stripe_key, settings.stripe_webhook_secrets, settings.stripe_url)
        else:
            made[name] = Paddle(settings.paddle_key, settings.paddle_webhook_secrets, settings.paddle_url)
    return made


def _carrier(settings: CarrierSettings) -> Carrier | None:
    if not settings.telnyx_key:
        return None
    return Telnyx(settings.telnyx_key, settings.telnyx_public_keys, settings.telnyx_url)


async def _let_workers_go(app: web.Application) -> None:
    """Before the server waits for its handlers: a worker's WebSocket would never end by itself."""
    app[WATCHERS].is_closing = True
    await app[WORKERS].close()
    await app[TALKS].close()


async def _at_work(app: web.Application) -> AsyncIterator[None]:
    settings = app[SETTINGS]
    rooms = app[ROOMS] = LiveKitRooms(
        settings.livekit.url,
        settings.livekit.public_url,
        settings.secrets.livekit_api_key,
        settings.secrets.livekit_api_secret,
    )
    workers = app[WORKERS] = Workers(app[DATABASE], rooms)
    telephones = None
    if settings.has_livekit_sip:
        keys = settings.secrets
        sip = LiveKitSip(settings.livekit.url, keys.livekit_api_key, keys.livekit_api_secret)
        telephones = LiveKitPhones(settings, app[DATABASE], rooms, sip, app[GUARD], workers.why_not)
        workers.phones = telephones
    mail = (
        SmtpMail(settings.mail_url, settings.mail_from)
        if settings.mail_url
        else FileMail(settings.home / "mail", settings.mail_from)
    )
    reach = engine.Reach(
        app[DATABASE],
        rooms,
        app[STORAGE],
        app[KNOWLEDGE],
        app[GUARD],
        mail,
        settings.language_model,
        settings.prices,
        settings.providers.embeddings,
        app[PAYMENTS],
        workers.phones,
        settings.tolls,
        app[CARRIER],
        (settings.carrier.sip_server, settings.carrier.sip_transport),
        settings.is_billing,
        settings.contact_email,
    )
    means.lay_down(means.Means(app[TALKS], settings))
    engine.launch(settings, reach)
    app[CLAIMANT].holder, app[CLAIMANT].is_gone = engine.holder(), engine.is_gone
    for queue, at_once in QUEUES.items():
        await engine.open_queue(queue, at_once=at_once)
    beside = [
        asyncio.create_task(workers.watch()),
        asyncio.create_task(placing.watch(app[DATABASE], workers.phones)),
        asyncio.create_task(workers.carry_orders()),
        asyncio.create_task(livekit_events.watch(app[DATABASE])),
        *([asyncio.create_task(telephones.watch())] if telephones is not None else []),
        asyncio.create_task(sweeper.sweep_for_ever(SWEEPS | {"copies of knowledge": app[ANSWERS].sweep})),
        asyncio.create_task(
            sweeper.sweep_for_ever(
                {"paid numbers": checkouts.sweep, "numbers for texts": texting.sweep}, checkouts.LOOK_SECONDS
            )
        ),
        asyncio.create_task(availability.watch(app[DATABASE], app[READINESS])),
    ]
    try:
        yield
    finally:
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        if telephones is not None:
            await telephones.close()
        await engine.close()
        await app[SPEECH].close()
        await app[ANSWERS].aclose()
        for provider in app[PAYMENTS].values():
            await provider.close()
        if (carrier := app[CARRIER]) is not None:
            await carrier.close()
        await rooms.close()
        await app[GUARD].close()
