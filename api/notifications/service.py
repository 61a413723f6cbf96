"""Targets, and telling them: arranged in the transaction of what happened, each at most once for a call."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from email_validator import EmailNotValidError, validate_email
from sqlmodel import col, func, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.agents import service as agents
from api.db.columns import now
from api.db.inserts import insert_new
from api.durable import letters
from api.durable.table import LetterRow
from api.http.callers import Caller
from api.http.errors import Conflict, Invalid, NotFound, NotSupported
from api.notifications.schemas import Notification, NotificationTarget, TargetCreate, TargetUpdate
from api.notifications.table import NotificationRow, NotificationTargetRow
from api.outside.mail import Letter
from api.users.table import UserRow
from api.webhooks import service as webhooks
from api.webhooks.urls import reachable
from pipelines.conditions import BadCondition, read
from pipelines.outbound import Guard
from pipelines.variables import render

_LOG = logging.getLogger(__name__)

MAX_TARGETS = 50
MAX_LETTERS = 20
_TEMPLATE = "{{call_summary}}\n\n{{fields}}"


class TargetNotFound(NotFound):
    """Notification target not found"""


class TooManyTargets(Conflict):
    """An agent has at most 50 notification targets"""


class NoCarrier(NotSupported):
    """Text messages and WhatsApp need a carrier, which is not set up here; use email or custom_url"""


# ── targets ──────────────────────────────────────────────────────────────────────────────────────
def told(row: NotificationTargetRow) -> NotificationTarget:
    """A row as its owner sees it."""
    return NotificationTarget.model_validate(
        {**row.model_dump(), "target_id": row.id, "user_id": row.owner_id}
    )


async def of_agent(session: AsyncSession, caller: Caller, agent_id: str) -> Sequence[NotificationTargetRow]:
    """An agent's targets, oldest first."""
    agent = await agents.get(session, caller, agent_id)
    found = await session.exec(
        select(NotificationTargetRow)
        .where(NotificationTargetRow.agent_id == agent.id)
        .order_by(col(NotificationTargetRow.created_at), col(NotificationTargetRow.id))
    )
    return found.all()


async def create(
    session: AsyncSession, caller: Caller, agent_id: str, wanted: TargetCreate, guard: Guard
) -> NotificationTargetRow:
    """One more."""
    agent = await agents.get(session, caller, agent_id)
    count = await session.exec(
        select(func.count())
        .select_from(NotificationTargetRow)
        .where(NotificationTargetRow.agent_id == agent.id)
    )
    if count.one() >= MAX_TARGETS:
        raise TooManyTargets
    row = NotificationTargetRow(agent_id=agent.id, owner_id=caller.owner_id, **wanted.model_dump())
    _check(row, guard)
    session.add(row)
    await session.flush()
    return row


async def get(session: AsyncSession, caller: Caller, target_id: str) -> NotificationTargetRow:
    """One of the owner's targets."""
    found = await session.exec(
        select(NotificationTargetRow)
        .where(NotificationTargetRow.id == target_id, NotificationTargetRow.owner_id == caller.owner_id)
        .with_for_update()
    )
    if (row := found.one_or_none()) is None:
        raise TargetNotFound
    return row


async def change(
    session: AsyncSession, caller: Caller, target_id: str, changes: TargetUpdate, guard: Guard
) -> NotificationTargetRow:
    """Change what was sent."""
    row = await get(session, caller, target_id)
    for name, value in changes.sent().items():
        setattr(row, name, value)
    _check(row, guard)
    row.updated_at = now()
    session.add(row)
    await session.flush()
    return row


def _check(row: NotificationTargetRow, guard: Guard) -> None:
    if row.channel in {"sms", "whatsapp"}:
        raise NoCarrier
    if row.channel == "custom_url":
        reachable(guard, row.destination or "", "destination")
    elif row.recipient_kind == "fixed":
        try:
            validate_email(row.destination or "", check_deliverability=False)
        except EmailNotValidError as error:
            raise Invalid.at("body", "destination", msg=str(error)) from None


# ── telling them ─────────────────────────────────────────────────────────────────────────────────
async def notify(
    session: AsyncSession,
    *,
    owner_id: str,
    agent_id: str | None,
    trigger: Literal["call_ended", "chat_ended"],
    cause: str,
    facts: Mapping[str, Any],
) -> None:
    """Tell whoever wants to know, where their condition holds. Again, it does nothing."""
    found = await session.exec(
        select(NotificationTargetRow).where(
            NotificationTargetRow.agent_id == (agent_id or ""),
            NotificationTargetRow.owner_id == owner_id,
            NotificationTargetRow.trigger_event == trigger,
            col(NotificationTargetRow.active),
        )
    )
    for target in found.all():
        row = NotificationRow(
            target_id=target.id, cause=cause, owner_id=owner_id, channel=target.channel, outcome="asked"
        )
        try:
            row.outcome = "asked" if read(target.condition).holds(facts) else "skipped"
        except BadCondition as error:
            row.outcome, row.detail = "failed", str(error)[:500]
        if not await insert_new(session, NotificationRow, [row]) or row.outcome != "asked":
            continue
        kept = await session.get_one(NotificationRow, (target.id, cause))
        await _tell(session, target, kept, facts)


async def _tell(
    session: AsyncSession, target: NotificationTargetRow, row: NotificationRow, facts: Mapping[str, Any]
) -> None:
    fields = "\n".join(f"{name}: {value}" for name, value in facts.items() if value not in (None, ""))
    known = {
        "fields": fields,
        **{name: str(value) for name, value in facts.items() if value is not None},
        **{name: str(value) for name, value in target.template_vars.items()},
    }
    message = render(target.template or _TEMPLATE, known).text.strip()
    if target.channel == "custom_url":
        await _post(session, target, row, facts, message)
        return
    addresses = await _addresses(session, target, facts)
    for number, address in enumerate(addresses):
        letter = Letter(
            to=address,
            subject="After a call" if target.trigger_event == "call_ended" else "After a chat",
            text=f"{message}\n",
            letter_id=_letter_id(row, number),
        )
        await letters.write(session, letter)
    row.letters = len(addresses)
    if not addresses:
        row.outcome, row.detail = "failed", "there is no address to write to"
    session.add(row)


async def _post(
    session: AsyncSession,
    target: NotificationTargetRow,
    row: NotificationRow,
    facts: Mapping[str, Any],
    message: str,
) -> None:
    await webhooks.default_of(session, target.owner_id)  # its secret signs
    is_call = target.trigger_event == "call_ended"
    data = {
        "target_id": target.id,
        "trigger_event": target.trigger_event,
        "message": message,
        "template_vars": target.template_vars,
        "facts": dict(facts),
        **({} if is_call else {"chat_id": row.cause}),
    }
    await webhooks.queue(
        session,
        target.owner_id,
        "notification",
        f"{row.cause}:notification:{target.id}",
        data,
        [(f"notification:{target.id}", target.destination or "")],
        call_id=row.cause if is_call else None,
        agent_id=target.agent_id,
    )


async def _addresses(
    session: AsyncSession, target: NotificationTargetRow, facts: Mapping[str, Any]
) -> list[str]:
    match target.recipient_kind:
        case "fixed":
            wanted = [target.destination or ""]
        case "caller":
            wanted = [str(facts.get("email") or "")]
        case kind:
            mine = UserRow.id == target.owner_id
            asked = mine if kind == "owner" else or_(mine, UserRow.tenant_owner_id == target.owner_id)
            found = await session.exec(
                select(UserRow.email).where(asked).order_by(col(UserRow.created_at)).limit(MAX_LETTERS)
            )
            wanted = list(found.all())
    return [one for one in dict.fromkeys(wanted) if _is_address(one)]


def _is_address(text: str) -> bool:
    try:
        validate_email(text, check_deliverability=False)
    except EmailNotValidError:
        return False
    return True


def _letter_id(row: NotificationRow, number: int) -> str:
    return f"notification-{row.target_id}-{row.cause}-{number}"


# ── the log ──────────────────────────────────────────────────────────────────────────────────────
async def log_of(session: AsyncSession, owner_id: str, cause: str) -> list[Notification]:
    """What became of the notifications of a call or a chat, oldest first."""
    found = await session.exec(
        select(NotificationRow)
        .where(NotificationRow.cause == cause, NotificationRow.owner_id == owner_id)
        .order_by(col(NotificationRow.created_at), col(NotificationRow.target_id))
        .limit(500)
    )
    rows = found.all()
    ids = [_letter_id(row, number) for row in rows for number in range(row.letters)]
    written = await session.exec(select(LetterRow).where(col(LetterRow.id).in_(ids)))
    by_id = {letter.id: letter for letter in written.all()}
    return [
        _became(row, [by_id[id_] for n in range(row.letters) if (id_ := _letter_id(row, n)) in by_id])
        for row in rows
    ]


def _became(row: NotificationRow, written: list[LetterRow]) -> Notification:
    outcome, detail = row.outcome, row.detail
    if written and all(letter.was_sent for letter in written):
        outcome = "sent"
    elif any(letter.ended_at and not letter.was_sent for letter in written):
        outcome, detail = "failed", "the mail server did not take it"
    return Notification.model_validate(
        {
            "target_id": row.target_id,
            "channel": row.channel,
            "outcome": outcome,
            "detail": detail,
            "created_at": row.created_at,
        }
    )
