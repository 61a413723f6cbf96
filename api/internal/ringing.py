"""Calls that come in: whose number it is, who is refused, and who answers by its owner's rules.

exchange ─ PhoneRang ─► known already? ─► whose line? ─► webhook (1.5 s, no lock held) ─► row ─► PhoneRoute
                                             └─ 404, or refused: 403, or busy: 409
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from pydantic import ValidationError
from sqlalchemy import func
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api import telephone
from api.agents import service as agents
from api.calls import forwarding, phoning, queueing
from api.calls.table import CallRow
from api.contacts import service as contacts
from api.db.columns import now
from api.http.errors import Conflict, Forbidden, TooEarly
from api.phone_numbers import routing
from api.phone_numbers import service as numbers
from api.phone_numbers.answering import Advice, Answering, Decided, decide, is_blocked
from api.schedules import requests as schedules
from api.webhooks import service as webhooks
from api.webhooks import signing
from pipelines.contract.phones import PhoneRang
from pipelines.outbound import Guard, NoAnswer

_LOG = logging.getLogger(__name__)

WEBHOOK_SECONDS = 1.5
"""Somebody hears it ring meanwhile."""
MAX_ADVICE_BYTES = 256 * 1024
COUNTED = timedelta(minutes=5)
EVENT = "call.inbound"


class CallerRefused(Forbidden):
    """Calls like this one are refused by whoever owns the number"""


class LineBusy(Conflict):
    """No line is free"""

    keeps_changes = True  # that somebody called, and is to be called back


class LetItRing(TooEarly):
    """Callers of this number do not stand in a queue, or are not forwarded"""


@dataclass(frozen=True)
class Rung:
    """A call that is for somebody here."""

    route: routing.Route
    rules: Answering
    caller: str
    """E.164; empty where it is hidden, or no number."""
    is_busy: bool = False
    """No line is free, and somebody else may take it."""


@dataclass(frozen=True)
class Question:
    """What a pre-call webhook is asked."""

    url: str
    body: str
    headers: Mapping[str, str]


async def known(session: AsyncSession, told: PhoneRang) -> CallRow | None:
    """The call that this INVITE already is. Raises `LineBusy` where it was told so before."""
    found = await session.exec(select(CallRow).where(CallRow.sip_call_id == told.sip_call_id))
    call = found.one_or_none()
    if call is not None and call.status == "busy":
        raise LineBusy
    return call


async def rung(session: AsyncSession, told: PhoneRang) -> Rung:
    """Whose line it is.

    Raises `NobodyAnswers`, `CallerRefused`, `LetItRing`, and `LineBusy` once that is on record.
    """
    route = await routing.inbound(session, told.to_number, told.trunk_id)
    if route is None:
        raise numbers.NobodyAnswers
    rules, caller = route.answering, _caller(route, told)
    shown = caller or told.from_number
    if is_blocked(rules, caller) or await _calls_too_often(session, route.owner_id, rules, shown):
        raise CallerRefused
    if told.queued is not None and rules.waits is None:
        raise LetItRing
    if told.is_busy or (told.queued is not None and rules.waits and told.queued >= rules.waits.most):
        if rules.fallback_number is not None:
            return Rung(route, rules, caller, is_busy=True)
        if told.is_unheld:
            raise LetItRing
        await _busy(session, Rung(route, rules, caller), told)
        raise LineBusy
    return Rung(route, rules, caller)


def _caller(route: routing.Route, told: PhoneRang) -> str:
    """Who calls; a number without a country code is of the country of the number that is called."""
    said = told.from_number
    home = telephone.country(route.number) if len(said) >= routing.LEAST_DIGITS else ""
    return telephone.normal(said, home or None) or ""


async def question(session: AsyncSession, here: Rung, told: PhoneRang) -> Question | None:
    """What the number's owner is asked before the call is answered; None where nobody is."""
    if here.rules.webhook_url is None or here.is_busy:
        return None
    contact = await contacts.recognised(session, here.route.owner_id, None, here.caller)
    at = now()
    asked = {
        "event": EVENT,
        "timestamp": at.isoformat().replace("+00:00", "Z"),
        "from_number": here.caller or told.from_number or None,
        "from_name": told.from_name or None,
        "to_number": here.route.number,
        "agent_id": here.route.agent_id,
        "contact": contact
        and {"contact_id": contact.id, "name": contact.name, "variables": contacts.variables_of(contact)},
        "headers": told.headers,
    }
    keys = await webhooks.keys(session, here.route.owner_id)
    body = json.dumps(asked)
    headers = {
        "Content-Type": "application/json",
        "X-Call2Me-Event": EVENT,
        **signing.headers(told.sip_call_id, body, at, keys),
    }
    return Question(here.rules.webhook_url, body, headers)


async def advice(guard: Guard, asked: Question) -> Advice:
    """What the webhook says, within its time. One that fails has no opinion: the call goes on without."""
    try:
        answer = await guard.fetch(
            "POST",
            asked.url,
            headers=asked.headers,
            data=asked.body,
            timeout_seconds=WEBHOOK_SECONDS,
            max_bytes=MAX_ADVICE_BYTES,
        )
        if answer.status == 200 and not answer.is_cut:
            return Advice.model_validate_json(answer.body)
        why = "" if answer.status == 204 else f"status {answer.status}"
    except NoAnswer as error:
        why = type(error).__name__
    except ValidationError:
        why = "not the JSON that was asked for"
    if why:
        _LOG.warning("a pre-call webhook had no advice", extra={"error": why})
    return Advice()


async def taken(
    session: AsyncSession, here: Rung, told: PhoneRang, advised: Advice, *, can_forward: bool = True
) -> CallRow:
    """Write the call's row; `can_forward` is whether whoever has the line could ring somebody else.

    Raises `CallerRefused` by its rules, `NobodyAnswers` where no agent is there.
    """
    route = here.route
    decided = decide(here.rules, route.agent_id, here.caller, now(), advised)
    if decided.is_refused:
        raise CallerRefused
    call = _row(route, told)
    there = await _first_there(session, route.owner_id, decided)
    if there is None or here.is_busy or decided.falls_back:
        if here.rules.fallback_number is None or not can_forward:
            raise numbers.NobodyAnswers
        forwarding.begin(call, here.rules.fallback_number)
        session.add(call)
        await session.flush()
        return call
    call.agent_id = there
    call.variables = {**call.variables, **advised.variables}
    call.reception = decided.reception.model_dump(mode="json") if decided.reception else None
    if told.queued is not None and here.rules.waits is not None:
        queueing.enter(call, here.rules.waits, offers_callback=here.rules.calls_back and bool(here.caller))
    session.add(call)
    await session.flush()
    return call


def _row(route: routing.Route, told: PhoneRang) -> CallRow:
    return CallRow(
        owner_id=route.owner_id,
        agent_id=route.agent_id,
        call_type="phone_call",
        direction="inbound",
        from_number=_caller(route, told) or told.from_number or None,
        to_number=route.number,
        sip_call_id=told.sip_call_id,
        sip_trunk_id=told.trunk_id,
        worker_id=told.worker_id,
        participant_name=told.from_name,
        variables=_as_variables(told.headers),
        briefed_at=now(),
    )


async def _first_there(session: AsyncSession, owner_id: str, decided: Decided) -> str | None:
    for agent_id in decided.agent_ids:
        try:
            return (await agents.of_owner(session, owner_id, agent_id)).id
        except agents.AgentNotFound:
            continue
    return None


async def _calls_too_often(session: AsyncSession, owner_id: str, rules: Answering, caller: str) -> bool:
    if rules.most_calls_per_caller is None or not caller:
        return False
    counted = await session.exec(
        select(func.count())
        .select_from(CallRow)
        .where(
            CallRow.owner_id == owner_id,
            col(CallRow.created_at) > now() - COUNTED,
            CallRow.direction == "inbound",
            CallRow.from_number == caller,
        )
    )
    return counted.one() >= rules.most_calls_per_caller


async def _busy(session: AsyncSession, here: Rung, told: PhoneRang) -> None:
    """A missed call, on record, and a callback where the owner wants that."""
    call = _row(here.route, told)
    session.add(call)
    await session.flush()
    await phoning.over(session, call.id, "busy", "no line was free")
    if here.rules.calls_back and here.caller:
        await schedules.missed(session, call)


def _as_variables(headers: Mapping[str, str]) -> dict[str, str]:
    """`X-Order-Number: 7` is `{{x_order_number}}` to the agent."""
    return {name.lower().replace("-", "_"): value for name, value in headers.items()}
