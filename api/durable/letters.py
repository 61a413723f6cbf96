"""Letters that must be sent: written in the transaction of their reason, tried for a day."""

import logging
from datetime import timedelta
from functools import partial

from dbos import DBOS
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.db.columns import now
from api.db.engine import after_commit
from api.db.inserts import insert_new
from api.durable import engine
from api.durable.table import LetterRow
from api.outside.mail import Letter, MailFailed

_LOG = logging.getLogger(__name__)

QUEUE = "letters"
AT_ONCE = 32
"""The queue is looked at once a second, so this is also how many letters leave in a second."""
DELAYS = (30.0, 120.0, 600.0, 3600.0, 6 * 3600.0, 16 * 3600.0)
OVERDUE_SECONDS = 120.0


async def write(session: AsyncSession, letter: Letter) -> None:
    """Have a letter sent once this transaction is committed; one for each `letter_id`."""
    row = LetterRow(id=letter.letter_id, to=letter.to, subject=letter.subject, text=letter.text)
    if await insert_new(session, LetterRow, [row]):
        after_commit(session, partial(_queue, letter.letter_id, 1))


@DBOS.workflow(name="letter")
async def send_letter(letter_id: str, number: int) -> None:
    """Try once, then arrange the next try."""
    with engine.at_work():
        if (delay := await attempt(letter_id, number)) is not None:
            await _queue(letter_id, number + 1, delay)


@DBOS.step(name="letter.attempt", retries_allowed=True, max_attempts=3)
async def attempt(letter_id: str, number: int) -> float | None:
    """Hand it to the mail server; returns the seconds to the next try, None when there is none.

    A process that dies in between hands it over again, under the same Message-ID.
    """
    reach = engine.reach()
    async with reach.database.transaction(writes=False) as session:
        row = await session.get(LetterRow, letter_id)
    if row is None or row.ended_at is not None or number != row.tries + 1:
        return None
    was_sent = True
    try:
        await reach.mail.send(Letter(row.to, row.subject, row.text, row.id))
    except MailFailed:
        was_sent = False
    async with reach.database.transaction() as session:
        row = await session.get(LetterRow, letter_id, with_for_update=True)
        if row is None or row.ended_at is not None or number != row.tries + 1:
            return None
        row.tries, row.was_sent = number, was_sent
        if not was_sent and number <= len(DELAYS):
            row.due_at = now() + timedelta(seconds=DELAYS[number - 1])
            return DELAYS[number - 1]
        row.ended_at, row.text = now(), ""
    if not was_sent:
        _LOG.error("a letter was given up", extra={"letter_id": letter_id})
    return None


async def sweep() -> None:
    """Queue letters that should have been tried by now and were not."""
    async with engine.reach().database.transaction(writes=False) as session:
        found = await session.exec(
            select(LetterRow.id, LetterRow.tries)
            .where(
                col(LetterRow.ended_at).is_(None),
                col(LetterRow.due_at) < now() - timedelta(seconds=OVERDUE_SECONDS),
            )
            .limit(500)
        )
        late = found.all()
    for letter_id, tries in late:
        await engine.enqueue_again(
            QUEUE, f"letter-{letter_id}-{tries + 1}", send_letter, letter_id, tries + 1
        )


async def _queue(letter_id: str, number: int, delay_seconds: float = 0.0) -> None:
    try:
        await engine.enqueue(
            QUEUE, f"letter-{letter_id}-{number}", send_letter, letter_id, number, delay_seconds=delay_seconds
        )
    except Exception as error:  # noqa: BLE001 - the letter is committed; the sweeper queues what this did not
        _LOG.warning("letter not queued", extra={"error": type(error).__name__})
