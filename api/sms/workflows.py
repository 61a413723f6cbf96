"""Messages sent and answered, whatever dies in between.

send(id, 1) ─ taken by the carrier ─► charged            answer(id, 1) ─ written down ─► send, next of the two
   └─ no answer ─► send(id, 2): the same key, the same message   └─ lost ─► answer(id, 2)

The carrier sends a key once, so a message whose answer was lost is sent again under its key. An answer is
thought of in its chat, which keeps it; whoever takes it up again finds it there.
"""

import logging
from datetime import timedelta
from functools import partial

from dbos import DBOS
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.chats.answering import AgentGone, ChatBusy
from api.chats.talks import AnswerLost, TooManyChats
from api.contacts import service as contacts
from api.db.columns import now
from api.db.engine import after_commit
from api.durable import engine
from api.http.errors import ApiError
from api.outside.carrier import CarrierRefused, CarrierUnavailable
from api.outside.texts import TextOut
from api.sms import answering, means, pacing, queues, service
from api.sms.answering import Busy, Known, NobodyAnswers
from api.sms.table import FAILED, INBOUND, OUTBOUND, RECEIVED, UNCONFIRMED, SmsRow

_LOG = logging.getLogger(__name__)

DELAYS = (1.0, 3.0, 10.0, 30.0, 60.0, 120.0)
"""Seconds between tries; the last one for ever after."""
GIVEN_UP_AFTER = timedelta(hours=1)
"""A text that is an hour late is no answer any more. Keys are known to the carrier for a day."""
KEYS_KEPT = timedelta(hours=23)
"""What was tried before is not tried again later: the carrier may have it, and know its key no more."""
MOST_TRIES = 12
"""Of an answer."""
BUSY_SECONDS = 15.0
OVERDUE_SECONDS = 60.0


# ── out ──────────────────────────────────────────────────────────────────────────────────────────
@DBOS.workflow(name="sms_send")
async def send(sms_id: str, number: int) -> None:
    """Try once, then arrange the next try."""
    with engine.at_work():
        if (delay := await send_once(sms_id, number)) is not None:
            await queues.queue_send(sms_id, number + 1, delay)


@DBOS.step(name="sms.send_once", retries_allowed=True, max_attempts=3)
async def send_once(sms_id: str, number: int) -> float | None:
    """Ask the carrier; the seconds to the next try, None where there is none."""
    row, was_tried, delay = await _taken_up(sms_id, number)
    if row is None:
        return delay
    if was_tried and now() - row.created_at > KEYS_KEPT:
        await _unconfirmed(sms_id)
        return None
    delay = DELAYS[min(number, len(DELAYS)) - 1]
    database, carrier = engine.reach().database, engine.reach().carrier
    url = means.at_hand().events_url
    text = TextOut(row.id, row.number, row.peer, row.text, f"{url}?sms={row.id}" if url else "")
    try:
        if carrier is None:
            raise CarrierUnavailable("no carrier is set up here any more")
        accepted = await carrier.texts.send(text)
    except CarrierRefused as refused:
        async with database.transaction(is_durable=True) as session:
            await service.give_up(session, sms_id, FAILED, str(refused))
        return None
    except CarrierUnavailable as error:
        _LOG.warning("a text message is not sent yet", extra={"sms_id": sms_id, "why": str(error)})
        if now() - row.created_at < GIVEN_UP_AFTER:
            return await _later(sms_id, delay)
        await _unconfirmed(sms_id)
        return None
    async with database.transaction(is_durable=True) as session:  # it may be charged
        await service.note_accepted(session, sms_id, accepted)
    return None


async def _taken_up(sms_id: str, number: int) -> tuple[SmsRow | None, bool, float | None]:
    """The message, where it is to be sent now, and whether the carrier was asked before; else in how many
    seconds, None where it is not to be sent any more.
    """
    async with engine.reach().database.transaction() as session:
        row = await session.get(SmsRow, sms_id, with_for_update=True)
        if row is None or not row.is_open or row.direction != OUTBOUND:
            return None, False, None
        was_tried = row.tries > 0
        if not was_tried and (why_not := await _why_not(session, row)):
            await service.give_up(session, sms_id, FAILED, why_not)
            return None, False, None
        if (later := await pacing.not_before(session, row)) is not None:
            row.due_at = later
            session.add(row)
            return None, was_tried, (later - now()).total_seconds()
        row.tries, row.due_at = max(row.tries, number), now()
        session.add(row)
        return row, was_tried, None


async def _why_not(session: AsyncSession, row: SmsRow) -> str:
    """Why a message that has waited for its turn is not sent any more; empty where it is."""
    if now() - row.created_at > GIVEN_UP_AFTER:
        return "its turn did not come within an hour"
    if await answering.number_of(session, row) is None:
        return "its number is its owner's no more, or out of use"
    is_of_a_keyword = row.answers is not None and row.chat_id is None  # STOP itself is answered
    try:
        if not is_of_a_keyword:
            await contacts.refuse_barred(session, row.owner_id, row.peer)
    except contacts.MustNotCall as error:
        return str(error)
    return ""


async def _unconfirmed(sms_id: str) -> None:
    async with engine.reach().database.transaction(is_durable=True) as session:
        why = "the carrier has not said for an hour that it took it"
        await service.give_up(session, sms_id, UNCONFIRMED, why)


async def _later(sms_id: str, delay: float) -> float:
    """Note when it is tried again, so that the sweeper waits as long."""
    async with engine.reach().database.transaction() as session:
        if (row := await session.get(SmsRow, sms_id, with_for_update=True)) is not None:
            row.due_at = now() + timedelta(seconds=delay)
            session.add(row)
    return delay


# ── in ───────────────────────────────────────────────────────────────────────────────────────────
@DBOS.workflow(name="sms_answer")
async def answer(sms_id: str, number: int) -> None:
    """Try once, then arrange the next try, or the next message of the same two."""
    with engine.at_work():
        if (delay := await answer_once(sms_id, number)) is not None:
            await queues.queue_answer(sms_id, number + 1, delay)


@DBOS.step(name="sms.answer_once", retries_allowed=True, max_attempts=3)
async def answer_once(sms_id: str, number: int) -> float | None:
    """Have the agent answer; the seconds to the next try, None where there is none."""
    database, laid = engine.reach().database, means.at_hand()
    try:
        if number > MOST_TRIES:
            raise AnswerLost
        laid.talks.make_room()
        async with database.transaction(is_durable=True) as session:  # its price is held back
            begun = await answering.begin(session, sms_id, number, laid.settings)
        if begun is None:
            return None
        if isinstance(begun, Busy):
            return await _later(sms_id, BUSY_SECONDS)
        words = begun.words if isinstance(begun, Known) else (await laid.talks.answer(begun).whole()).content
        async with database.transaction(is_durable=True) as session:
            await answering.finish(session, sms_id, words, laid.settings)
            await _begin_next(session, sms_id)
    except (ChatBusy, TooManyChats, AnswerLost) as error:
        if number <= MOST_TRIES:
            return await _later(sms_id, DELAYS[min(number, len(DELAYS)) - 1])
        await _unanswered(sms_id, error)
    except (ApiError, NobodyAnswers) as error:  # a reason, not a fault: it would be the same again
        await _unanswered(sms_id, error)
    return None


async def _unanswered(sms_id: str, error: ApiError | NobodyAnswers) -> None:
    kept = AgentGone() if isinstance(error, NobodyAnswers) else error
    _LOG.warning("a text message is not answered", extra={"sms_id": sms_id, "why": type(error).__name__})
    async with engine.reach().database.transaction() as session:
        await service.give_up(session, sms_id, RECEIVED, str(kept))
        await _begin_next(session, sms_id)


async def _begin_next(session: AsyncSession, sms_id: str) -> None:
    """Whoever wrote it may have written more meanwhile."""
    await session.flush()
    row = await session.get(SmsRow, sms_id)
    if row is not None and (following := await answering.next_of(session, row)) is not None:
        next_id, tries = following
        after_commit(session, partial(queues.queue_answer, next_id, tries + 1, after=sms_id))


queues.WORK.update({queues.SENDING: send, queues.ANSWERING: answer})


async def sweep() -> None:
    """Queue what should have been tried by now: what a crash between two commits left unqueued."""
    async with engine.reach().database.transaction(writes=False) as session:
        found = await session.exec(
            select(SmsRow.id, SmsRow.direction, SmsRow.tries)
            .where(col(SmsRow.is_open), col(SmsRow.due_at) < now() - timedelta(seconds=OVERDUE_SECONDS))
            .order_by(col(SmsRow.due_at), col(SmsRow.created_at))
            .limit(500)
        )
        late = found.all()
    for sms_id, direction, tries in late:
        queue, name = (queues.ANSWERING, "answer") if direction == INBOUND else (queues.SENDING, "send")
        number = tries + 1
        await engine.enqueue_again(queue, f"sms-{name}-{sms_id}-{number}", queues.WORK[queue], sms_id, number)
