"""Rules of text messages: who may send which, what comes in, and what became of what was sent."""

from contextlib import suppress
from datetime import timedelta
from functools import partial

from sqlmodel import col, func, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api import telephone
from api.agents.table import AgentRow
from api.calls import spending, tolls
from api.contacts import service as contacts
from api.db.columns import now
from api.db.engine import after_commit
from api.db.inserts import insert_new
from api.http.callers import Caller
from api.http.errors import BadRequest, Conflict, Invalid
from api.outside.texts import Accepted, Receipt, TextIn
from api.phone_numbers import service as numbers
from api.phone_numbers.answering import Answering, is_blocked
from api.phone_numbers.schemas import BOUGHT
from api.phone_numbers.table import ACTIVE, PhoneNumberRow
from api.settings import Settings
from api.sms import keywords, pacing, queues, segments
from api.sms.schemas import SmsCreate, SmsQuery
from api.sms.table import (
    DELIVERED,
    FAILED,
    INBOUND,
    OUTBOUND,
    QUEUED,
    RECEIVED,
    SENT,
    UNCONFIRMED,
    SmsRow,
    SmsThreadRow,
)
from api.telephone_settings import Tolls
from api.users import service as users
from api.wallet import rates as price_list
from api.wallet import sms_charges
from api.wallet.charges import InsufficientBalance

MOST_AN_HOUR = 40
"""Answers to one number: two machines that answer each other must come to an end."""
_RANK = {QUEUED: 0, SENT: 1, UNCONFIRMED: 2, DELIVERED: 3, FAILED: 3}
"""Receipts come in any order, and more than once: a message goes up, never down."""


class NotForTexts(Conflict):
    """Only numbers that were bought here, and are active, send text messages"""


class NoSender(BadRequest):
    """Say in from which of your numbers it is to come: none, or more than one, was bought here"""


async def send(
    session: AsyncSession, caller: Caller, wanted: SmsCreate, settings: Settings, agent_id: str | None = None
) -> SmsRow:
    """Write a message down, and hold back its price. It is sent once that is committed and it is its turn.

    `agent_id`: of whose talk it tells, where it is not of the agent of its number.
    """
    if segments.count(wanted.text) > segments.MOST:
        most = f"A message has at most {segments.MOST} parts: 1530 characters of GSM 03.38, or 670 of others"
        raise Invalid.at("body", "text", msg=most, type="too_long")
    number = await _sender(session, caller, wanted.sender)
    await refuse(session, caller.owner_id, wanted.to, settings.tolls)
    if await pacing.is_long(session, number.number):
        raise pacing.TooManyTexts(headers={"Retry-After": "60"})
    return await write(session, settings, number, wanted.to, wanted.text, agent_id=agent_id)


async def _sender(session: AsyncSession, caller: Caller, asked: str | None) -> PhoneNumberRow:
    """Whose number it is to come from, locked."""
    if asked is None:
        found = await session.exec(
            select(PhoneNumberRow.number)
            .where(
                PhoneNumberRow.owner_id == caller.owner_id,
                PhoneNumberRow.provider == BOUGHT,
                numbers.is_usable(),
            )
            .limit(2)
        )
        if len(known := found.all()) != 1:
            raise NoSender
        asked = known[0]
    row = await numbers.get(session, caller, asked)
    if row.provider != BOUGHT or not row.active or row.standing != ACTIVE:
        raise NotForTexts
    return row


async def refuse(session: AsyncSession, owner_id: str, peer: str, rules: Tolls) -> None:
    """The rules that hold for each message out, as for calls. Raises `MustNotCall`, `DestinationRefused`,
    `SpentToday`.
    """
    await contacts.refuse_barred(session, owner_id, peer)
    tolls.check(rules, peer)
    await spending.check(session, rules, owner_id)


async def sent_lately(session: AsyncSession, number: str, peer: str) -> int:
    """How many messages a number sent to somebody within an hour."""
    asked = select(func.count()).where(
        SmsRow.number == number,
        SmsRow.direction == OUTBOUND,
        SmsRow.peer == peer,
        col(SmsRow.created_at) > now() - timedelta(hours=1),
    )
    return (await session.exec(asked)).one()


async def write(
    session: AsyncSession,
    settings: Settings,
    number: PhoneNumberRow,
    peer: str,
    words: str,
    answered: SmsRow | None = None,
    agent_id: str | None = None,
) -> SmsRow:
    """A message that is to be sent. Raises `InsufficientBalance` before anything is written."""
    agent_id = agent_id or number.agent_id
    agent = await session.get(AgentRow, agent_id) if agent_id is not None else None
    due_at = await pacing.turn(session, number.number, is_answer=answered is not None)
    row = SmsRow(
        owner_id=number.owner_id,
        number=number.number,
        peer=peer,
        direction=OUTBOUND,
        text=words,
        segments=segments.count(words),
        status=QUEUED,
        agent_id=answered.agent_id if answered is not None else agent_id,
        chat_id=answered.chat_id if answered is not None else None,
        answers=answered.id if answered is not None else None,
        due_at=due_at,
        retention_days=agent.config.get("retention_days") if agent is not None else None,
    )
    is_billed = settings.is_billing  # where this server pays, nobody earns by it
    await sms_charges.hold(
        session,
        row.id,
        row.owner_id,
        price_list.load(settings.rates),
        segments=row.segments,
        is_billed=is_billed,
        tenant=await users.tenant_of(session, row.owner_id) if is_billed else None,
    )
    session.add(row)
    await session.flush()
    delay = max((due_at - now()).total_seconds(), 0.0)
    after_commit(session, partial(queues.queue_send, row.id, 1, delay))
    return row


async def page(session: AsyncSession, caller: Caller, query: SmsQuery) -> tuple[list[SmsRow], int]:
    """A page of the caller's messages, newest first, and how many there are."""
    asked = [col(SmsRow.owner_id) == caller.owner_id]
    if query.direction is not None:
        asked.append(col(SmsRow.direction) == query.direction)
    if query.number is not None:
        number = numbers.spelled(query.number)
        asked.append(or_(col(SmsRow.number) == number, col(SmsRow.peer) == number))
    total = await session.exec(select(func.count()).select_from(SmsRow).where(*asked))
    found = await session.exec(
        select(SmsRow)
        .where(*asked)
        .order_by(col(SmsRow.created_at).desc(), col(SmsRow.id))
        .limit(query.limit)
        .offset(query.offset)
    )
    return list(found.all()), total.one()


# ── what the carrier tells ───────────────────────────────────────────────────────────────────────
async def receive(session: AsyncSession, text: TextIn, settings: Settings) -> SmsRow | None:
    """Keep a message that came in, once, and see to its answer. None for what is nobody's, or known."""
    found = await session.exec(
        select(PhoneNumberRow).where(
            PhoneNumberRow.number == text.recipient, PhoneNumberRow.provider == BOUGHT, numbers.is_usable()
        )
    )
    if (number := found.one_or_none()) is None:
        return None
    agent = await session.get(AgentRow, number.agent_id) if number.agent_id is not None else None
    peer = telephone.normal(text.sender)
    keyword = keywords.read(text.words)
    why = _why_unanswered(number, peer, text)
    row = SmsRow(
        owner_id=number.owner_id,
        number=number.number,
        peer=peer or text.sender[:20],
        direction=INBOUND,
        text=text.words,
        segments=segments.count(text.words),
        status=RECEIVED,
        why=why or None,
        agent_id=number.agent_id,
        carrier_id=text.carrier_id,
        is_open=not why and keyword is None,
        retention_days=agent.config.get("retention_days") if agent is not None else None,
    )
    if not await insert_new(session, SmsRow, [row]):
        return None
    if peer is not None and keyword is not None:
        await keywords.obey(session, number.owner_id, peer, keyword)
        if not text.is_answered:
            await _answer_keyword(session, settings, number, row, keyword)
    if row.is_open:
        thread = SmsThreadRow(owner_id=row.owner_id, number=row.number, peer=row.peer)
        await insert_new(session, SmsThreadRow, [thread])
        after_commit(session, partial(queues.queue_answer, row.id, 1))
    return row


async def _answer_keyword(
    session: AsyncSession, settings: Settings, number: PhoneNumberRow, row: SmsRow, keyword: keywords.Keyword
) -> None:
    """One sentence, where it may be sent. What somebody wants is kept all the same."""
    if await sent_lately(session, row.number, row.peer) >= MOST_AN_HOUR:
        return
    with suppress(InsufficientBalance, tolls.DestinationRefused, spending.SpentToday):
        tolls.check(settings.tolls, row.peer)
        await spending.check(session, settings.tolls, row.owner_id)
        await write(session, settings, number, row.peer, keywords.REPLIES[keyword], answered=row)


def _why_unanswered(number: PhoneNumberRow, peer: str | None, text: TextIn) -> str:
    if peer is None:
        return "It came from no telephone number."
    if is_blocked(Answering.model_validate(number.answering or {}), peer):
        return "Its sender is blocked."
    if not text.words.strip():
        return "It has no words." + (" Pictures are not read." if text.has_media else "")
    return "" if number.agent_id is not None else "No agent answers this number."


async def note_receipt(session: AsyncSession, receipt: Receipt, sms_id: str) -> bool:
    """What became of a message; false where it is none of ours. `sms_id` is what its address says of it.

    The carrier may tell before it has answered us that it took the message. Where that tells what it costs,
    it is charged by it: the answer may be lost for good.
    """
    ours = select(SmsRow).where(
        SmsRow.direction == OUTBOUND, SmsRow.number == receipt.sender, SmsRow.peer == receipt.recipient
    )
    named = (
        await session.exec(ours.where(SmsRow.carrier_id == receipt.carrier_id).with_for_update())
    ).first()
    unnamed = ours.where(SmsRow.id == sms_id, col(SmsRow.carrier_id).is_(None)).with_for_update()
    row = named or (await session.exec(unnamed)).first()
    if row is None:
        return False
    row.carrier_id = receipt.carrier_id
    if _RANK[receipt.outcome] > _RANK[row.status]:
        row.status, row.updated_at = receipt.outcome, now()
        row.why = (receipt.why or "the carrier could not deliver it") if receipt.outcome == FAILED else None
    session.add(row)
    if row.is_open and receipt.outcome != FAILED and receipt.cost_micros is not None:
        await session.flush()
        await note_accepted(session, row.id, Accepted(receipt.carrier_id, receipt.cost_micros))
    return True


async def note_accepted(session: AsyncSession, sms_id: str, accepted: Accepted) -> None:
    """The carrier has it: it is charged, once."""
    row = await session.get(SmsRow, sms_id, with_for_update=True)
    if row is None or not row.is_open:
        return
    row.is_open, row.carrier_id, row.updated_at = False, accepted.carrier_id, now()
    if _RANK[row.status] < _RANK[SENT]:
        row.status = SENT
    session.add(row)
    await session.flush()
    await sms_charges.charge(
        session,
        row.id,
        owner_id=row.owner_id,
        chat_id=row.chat_id,
        agent_id=row.agent_id,
        carrier_micros=accepted.cost_micros,
    )


async def give_up(session: AsyncSession, sms_id: str, status: str, why: str) -> None:
    """It will not be sent, or not answered; what was held for it is free again."""
    row = await session.get(SmsRow, sms_id, with_for_update=True)
    if row is None or not row.is_open:
        return
    row.is_open, row.updated_at = False, now()
    if row.direction == INBOUND or _RANK[status] > _RANK[row.status]:  # else a receipt knows better
        row.status, row.why = status, why[:300]
    session.add(row)
    await sms_charges.let_go(session, row.id)
