"""Forgetting a person: `erase-<user_id>-<n>`. Each step may run again; what is gone stays gone.

asked ─► nobody signs in ─► calls end, are settled ─► recordings, calls ─► knowledge ─► the rest, the person
"""

import logging
from datetime import timedelta
from functools import partial

from dbos import DBOS
from sqlalchemy import delete, func, or_, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.agents.table import AgentRow
from api.audit.table import AuditRow
from api.calls import lifecycle
from api.calls.table import RUNNING, CallRow, CallUsageRow
from api.db.columns import now
from api.db.engine import after_commit
from api.durable import engine
from api.durable.table import LetterRow
from api.knowledge_base import service as knowledge
from api.knowledge_base.table import KnowledgeBaseRow
from api.outside.mail import Letter, MailFailed
from api.phone_numbers import buying
from api.phone_numbers import workflows as numbers
from api.privacy.owned import ERASED_BY_ITSELF, KEPT, owned, owner_column
from api.privacy.retention import recordings_of
from api.privacy.table import AccountExportRow
from api.public.table import ContactMessageRow, SubscriberRow
from api.tenants.table import TenantInviteRow
from api.users.table import UserRow
from api.wallet.table import HoldRow, TransactionRow

_LOG = logging.getLogger(__name__)

AT_ONCE = 200
QUEUE = "erasures"
QUEUED_AT_ONCE = 2
WAIT_SECONDS = 10.0
"""Between two looks whether the last calls are settled."""
OVERDUE_SECONDS = 300.0
SWEPT = 1_000_000
"""Numbers of what the sweeper begins are multiples of this."""


@DBOS.workflow(name="erase")
async def erase(user_id: str, number: int) -> None:
    """Forget everything of a person; where a call is still to be settled, again in a moment."""
    with engine.at_work():
        if await end_calls(user_id):
            await start(user_id, number + 1, WAIT_SECONDS)
            return
        await forget_calls(user_id)
        await forget_knowledge(user_id)
        await forget_person(user_id)


async def start(user_id: str, number: int = 1, delay_seconds: float = 0.0) -> None:
    """Begin it. Never raises, since the sweeper begins what this did not."""
    try:
        await engine.enqueue(
            QUEUE, f"erase-{user_id}-{number}", erase, user_id, number, delay_seconds=delay_seconds
        )
    except Exception as error:  # noqa: BLE001 - the wish is committed
        _LOG.warning("erasure not started", extra={"user_id": user_id, "error": type(error).__name__})


async def sweep() -> None:
    """Begin anew what should be done by now; two at once do each other no harm."""
    async with engine.reach().database.transaction(writes=False) as session:
        found = await session.exec(
            select(UserRow.id, UserRow.erased_at)
            .where(col(UserRow.erased_at) < now() - timedelta(seconds=OVERDUE_SECONDS))
            .limit(100)
        )
        left = found.all()
    for user_id, erased_at in left:
        if erased_at is not None:
            rounds = int((now() - erased_at).total_seconds() // OVERDUE_SECONDS)
            await start(user_id, rounds * SWEPT)


@DBOS.step(name="erase.end_calls", retries_allowed=True, max_attempts=3)
async def end_calls(user_id: str) -> int:
    """End what still runs; returns how many calls are not settled yet."""
    async with engine.reach().database.transaction() as session:
        # Without an agent nothing begins any more: no schedule, no widget, no number.
        await session.exec(delete(AgentRow).where(col(AgentRow.owner_id) == user_id))
        for order_id in await buying.abandon(session, user_id):
            after_commit(session, partial(numbers.queue_release, order_id, 1))
        await session.exec(
            delete(CallRow).where(
                col(CallRow.owner_id) == user_id,
                col(CallRow.briefed_at).is_(None),
                col(CallRow.status).in_(RUNNING),
            )
        )
        running = await session.exec(
            select(CallRow)
            .where(CallRow.owner_id == user_id, col(CallRow.status).in_(RUNNING))
            .with_for_update()
        )
        for call in running.all():
            lifecycle.conclude(call, "ended", "account_erased")
            call.hang_up_reason = "account_erased"
            session.add(call)
        await session.flush()
        left = await session.exec(
            select(func.count())
            .select_from(CallRow)
            .where(CallRow.owner_id == user_id, col(CallRow.settled_at).is_(None))
        )
        return left.one()


@DBOS.step(name="erase.forget_calls", retries_allowed=True, max_attempts=3)
async def forget_calls(user_id: str) -> None:
    """Recordings first, then the calls that name them."""
    reach = engine.reach()
    while True:
        async with reach.database.transaction(writes=False) as session:
            found = await session.exec(
                select(CallRow.id, CallRow.attempt).where(CallRow.owner_id == user_id).limit(AT_ONCE)
            )
            some = found.all()
        if not some:
            return
        for call_id, attempts in some:
            for name in recordings_of(call_id, attempts):
                await reach.storage.delete(name)
        async with reach.database.transaction() as session:
            await session.exec(delete(CallRow).where(col(CallRow.id).in_([call_id for call_id, _ in some])))


@DBOS.step(name="erase.forget_knowledge", retries_allowed=True, max_attempts=3)
async def forget_knowledge(user_id: str) -> None:
    """Each base as if its owner had deleted it: workers hear of that."""
    database = engine.reach().database
    while True:
        async with database.transaction() as session:
            found = await session.exec(
                select(KnowledgeBaseRow)
                .where(KnowledgeBaseRow.owner_id == user_id, col(KnowledgeBaseRow.deleted_at).is_(None))
                .limit(1)
                .with_for_update()
            )
            if (base := found.one_or_none()) is None:
                return
            await knowledge.remove(session, base)


@DBOS.step(name="erase.forget_person", retries_allowed=True, max_attempts=3)
async def forget_person(user_id: str) -> None:
    """All that is left, and at last the person. The book stays, with a name that means nothing."""
    reach = engine.reach()
    async with reach.database.transaction(writes=False) as session:
        user = await session.get(UserRow, user_id)
        if user is None:
            return
        addresses = {user.email, user.billing_email or user.email}
        exports = await session.exec(select(AccountExportRow.id).where(AccountExportRow.owner_id == user_id))
        files = [f"{export_id}.zip" for export_id in exports.all()]
        email = user.email
    for name in files:
        await reach.storage.delete(name)
    try:
        await reach.mail.send(
            Letter(email, "Your account is erased", "Everything that was kept of you here is gone.")
        )
    except MailFailed:
        _LOG.warning("farewell not sent", extra={"user_id": user_id})
    for address in addresses:
        await reach.mail.forget(address)
    async with reach.database.transaction(is_durable=True) as session:
        await _forget_rows(session, user_id, addresses)
    await reach.database.scrub()
    _LOG.info("account erased", extra={"user_id": user_id})


async def _forget_rows(session: AsyncSession, user_id: str, addresses: set[str]) -> None:
    await _forget_notes(session, user_id)
    for table in reversed(owned()):
        column = owner_column(table)
        if column is not None and table.name not in KEPT | ERASED_BY_ITSELF:
            await (await session.connection()).execute(table.delete().where(column == user_id))
    await session.exec(delete(HoldRow).where(col(HoldRow.owner_id) == user_id))
    await session.exec(delete(CallUsageRow).where(col(CallUsageRow.owner_id) == user_id))
    await session.exec(update(AuditRow).where(col(AuditRow.user_id) == user_id).values(address=""))
    await session.exec(delete(LetterRow).where(col(LetterRow.to).in_(addresses)))
    await session.exec(delete(TenantInviteRow).where(func.lower(col(TenantInviteRow.email)).in_(addresses)))
    await session.exec(delete(SubscriberRow).where(col(SubscriberRow.email).in_(addresses)))
    await session.exec(delete(ContactMessageRow).where(col(ContactMessageRow.email).in_(addresses)))
    await session.exec(delete(UserRow).where(col(UserRow.id) == user_id))


async def _forget_notes(session: AsyncSession, user_id: str) -> None:
    """Sums and rates stay; what somebody wrote beside them may name the person."""
    found = await session.exec(
        select(TransactionRow).where(
            TransactionRow.owner_id == user_id,
            or_(col(TransactionRow.type) != "usage", col(TransactionRow.call_id).is_(None)),
        )
    )
    for row in found.all():
        row.description = row.type.capitalize()
        row.explanation = {
            name: value for name, value in (row.explanation or {}).items() if name != "note"
        } or None
        session.add(row)
    await session.flush()
