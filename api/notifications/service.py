"""Targets, and telling them: arranged in the transaction of what happened, each at most once for a call."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from email_validator import EmailNotValidError, validate_email
from sqlmodel import col, func, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api import telephone
from api.agents import service as agents
from api.db.columns import now
from api.db.inserts import insert_new
from api.durable import letters
from api.http.callers import Caller
from api.http.errors import ApiError, Conflict, Invalid, NotFound, NotSupported
from api.notifications import texts
from api.notifications.schemas import NotificationTarget, TargetCreate, TargetUpdate
from api.notifications.table import NotificationRow, NotificationTargetRow
from api.notifications.texts import NOWHERE, Ends, Text
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
_TEXT = {"call_ended": "{{call_summary}}"}
"""Of a text message each part is paid for."""


class TargetNotFound(NotFound):
    """Notification target not found"""


class TooManyTargets(Conflict):
    """An agent has at most 50 notification targets"""


class NoCarrier(NotSupported):
    """Text messages need a carrier, which is not set up here; use email or custom_url"""


class NoWhatsApp(NotSupported):
    """No notification goes out over WhatsApp; use sms, email or custom_url"""


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
    if row.channel == "whatsapp":
        raise NoWhatsApp
    if row.channel == "sms":
        _check_text(row)
    elif row.channel == "custom_url":
        reachable(guard, row.destination or "", "destination")
    elif row.recipient_kind == "fixed":
        try:
            validate_email(row.destination or "", check_deliverability=False)
        except EmailNotValidError as error:
            raise Invalid.at("body", "destination", msg=str(error)) from None


def _check_text(row: NotificationTargetRow) -> None:
    if not texts.at_hand().has_carrier:
        raise NoCarrier
    if row.recipient_kind not in {"fixed", "caller"}:
        why = "Of owner and team no telephone number is known: use fixed or caller"
        raise Invalid.at("body", "recipient_kind", msg=why)
    if row.recipient_kind == "fixed":
        if (number := telephone.normal(row.destination or "")) is None:
            raise Invalid.at("body", "destination", msg="A telephone number in E.164, such as +14155550143")
        row.destination = number


# ── telling them ─────────────────────────────────────────────────────────────────────────────────
async def notify(
    session: AsyncSession,
    *,
    owner_id: str,
    agent_id: str | None,
    trigger: Literal["call_ended", "chat_ended"],
    cause: str,
    facts: Mapping[str, Any],
    ends: Ends = NOWHERE,
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
        await _tell(session, target, kept, facts, ends)


async def _tell(
    session: AsyncSession,
    target: NotificationTargetRow,
    row: NotificationRow,
    facts: Mapping[str, Any],
    ends: Ends,
) -> None:
    fields = "\n".join(f"{name}: {value}" for name, value in facts.items() if value not in (None, ""))
    known = {
        "fields": fields,
        **{name: str(value) for name, value in facts.items() if value is not None},
        **{name: str(value) for name, value in target.template_vars.items()},
    }
    default = _TEXT.get(target.trigger_event, _TEMPLATE) if target.channel == "sms" else _TEMPLATE
    message = render(target.template or default, known).text.strip()
    if target.channel == "custom_url":
        await _post(session, target, row, facts, message)
        return
    if target.channel == "sms":
        await _text(session, target, row, ends, message)
        return
    addresses = await _addresses(session, target, facts)
    for number, address in enumerate(addresses):
        letter = Letter(
            to=address,
            subject="After a call" if target.trigger_event == "call_ended" else "After a chat",
            text=f"{message}\n",
            letter_id=row.letter_id(number),
        )
        await letters.write(session, letter)
    row.letters = len(addresses)
    if not addresses:
        row.outcome, row.detail = "failed", "there is no address to write to"
    session.add(row)


async def _text(
    session: AsyncSession, target: NotificationTargetRow, row: NotificationRow, ends: Ends, message: str
) -> None:
    """What may not be sent is noted, and touches nothing else."""
    # The number that the line told, no field that was found out: who talks chooses nobody to be texted.
    wanted = target.destination if target.recipient_kind == "fixed" else ends.theirs
    number, sender = telephone.normal(wanted or ""), texts.at_hand()
    try:
        if not sender.has_carrier:
            row.detail = "no carrier is set up here any more"
        elif number is None:
            row.detail = "there is no number to write to"
        elif not message:
            row.detail = "there is nothing to be said"
        else:
            is_to_caller = target.recipient_kind != "fixed"
            wished = Text(target.owner_id, target.agent_id, ends.ours, number, message, is_to_caller)
            row.sms_id = await sender.write(session, wished)
    except ApiError as error:
        row.detail = str(error)[:500]
    row.outcome = "asked" if row.sms_id is not None else "failed"
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
