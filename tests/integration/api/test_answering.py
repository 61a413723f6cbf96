"""One message, whatever dies: written once, answered once, and no function of it twice."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from api.agents import service as agents
from api.agents.schemas import AgentCreate
from api.chats import answering, service
from api.chats.answering import Asked
from api.chats.schemas import ChatCreate, MessageCreate
from api.chats.table import ChatRow
from api.db.columns import now
from api.db.engine import Database
from api.db.migrate import upgrade
from api.db.vault import Vault
from api.http.callers import Caller
from api.secret_keys import fresh_encryption_key
from api.settings import Settings
from api.users import service as users
from pipelines.costs import Prices
from pipelines.text_link import Began, Ended, GoOn, Used
from tests.support.api import AGENT

PRICES = Prices(as_of="2026-11", models={})


class Book:
    """One chat, on a database of its own."""

    def __init__(self, database: Database, caller: Caller, chat_id: str, settings: Settings) -> None:
        self.database, self.caller, self.chat_id, self.settings = database, caller, chat_id, settings

    async def sent(self, content: str) -> Asked:
        async with self.database.transaction() as session:
            return await answering.begin(
                session, self.caller, self.chat_id, MessageCreate(content=content), self.settings
            )

    async def began(self, asked: Asked, call_id: str, day: str) -> GoOn:
        frame = Began(
            turn_id=asked.attempt, function_call_id=call_id, name="book", arguments={"day": day, "n": 1}
        )
        async with self.database.transaction() as session:
            return await answering.function_begins(session, asked, frame)

    async def ended(self, asked: Asked, call_id: str, result: str | None, error: str | None = None) -> None:
        frame = Used(turn_id=asked.attempt, function_call_id=call_id, result=result, error=error)
        async with self.database.transaction() as session:
            await answering.function_ended(session, asked, frame)

    async def lost(self, asked: Asked) -> None:
        async with self.database.transaction() as session:
            await answering.lose(session, asked)

    async def forgotten(self) -> None:
        """As when the api died: nobody renewed the attempt for a while."""
        async with self.database.transaction() as session:
            chat = await session.get(ChatRow, self.chat_id)
            assert chat is not None
            chat.attempt_until = now() - timedelta(seconds=1)
            session.add(chat)

    async def finished(self, asked: Asked, text: str) -> None:
        async with self.database.transaction() as session:
            await answering.finish(session, asked, Ended(turn_id=asked.attempt, text=text), PRICES)

    async def written(self) -> list[tuple[str, str]]:
        async with self.database.transaction(writes=False) as session:
            return [(row.content, row.status) for row in await service.messages_of(session, self.chat_id)]


@pytest.fixture
async def book(database_url: str, tmp_path: Path) -> AsyncIterator[Book]:
    await upgrade(database_url)
    database = Database(database_url, Vault([fresh_encryption_key()]))
    async with database.transaction() as session:
        owner = await users.create(session, email="a@example.com", password_hash="x")
        agent = await agents.create(session, owner.id, AgentCreate.model_validate(AGENT))
        caller = Caller(owner.id, owner.id, "user")
        chat = await service.create(
            session, caller, ChatCreate.model_validate({"agent_id": agent.id, "metadata": {"name": "Ada"}})
        )
    settings = Settings.load({"CALL2ME_HOME": str(tmp_path)})
    yield Book(database, caller, chat.id, settings)
    await database.close()


async def test_what_a_lost_attempt_ran_is_not_run_again_even_for_an_agent_that_insists(book: Book) -> None:
    first = await book.sent("Monday and Tuesday.")
    assert (first.words, first.brief.transcript) == ("Monday and Tuesday.", ())
    assert first.brief.variables == {"name": "Ada"}
    for call_id, day in (("c1", "Monday"), ("c2", "Tuesday"), ("c3", "Sunday")):
        assert (await book.began(first, call_id, day)).refusal is None
    await book.ended(first, "c1", "booked Monday")
    await book.ended(first, "c3", None, "closed")
    await book.lost(first)

    again = await book.sent("Monday and Tuesday.")
    assert again.message_id == first.message_id
    assert again.words == "", "the transcript ends with it, and what ran stands behind it"
    assert [said.text for said in again.brief.transcript] == ["Monday and Tuesday."]
    assert [run.result for run in again.brief.functions] == ["booked Monday", None, None]
    assert (await book.began(again, "d1", "Monday")).result == "booked Monday"
    assert "confirmed" in str((await book.began(again, "d2", "Tuesday")).refusal)
    failed = await book.began(again, "d3", "Sunday")
    assert (failed.result, failed.refusal) == (None, None), "one that failed may be tried again"
    twice = await book.began(again, "d4", "Sunday")
    assert (twice.result, twice.refusal) == (None, None), "within one answer, the agent's limits decide"


async def test_an_attempt_that_was_replaced_writes_nothing_more(book: Book) -> None:
    first = await book.sent("Hello.")
    with pytest.raises(answering.ChatBusy):
        await book.sent("Hello.")
    await book.forgotten()
    second = await book.sent("Hello.")
    for late in (book.finished(first, "Too late."), book.lost(first)):
        with pytest.raises(answering.TooLate):
            await late
    with pytest.raises(answering.TooLate):
        await book.began(first, "c1", "Monday")
    await book.finished(second, "Good morning.")
    with pytest.raises(answering.TooLate):
        await book.finished(second, "Good morning.")
    assert await book.written() == [("Hello.", "answered"), ("Good morning.", "complete")]


async def test_other_words_after_a_lost_message_are_a_message_of_their_own(book: Book) -> None:
    await book.sent("Hello.")
    await book.forgotten()
    second = await book.sent("Are you there?")
    assert [said.text for said in second.brief.transcript] == ["Hello."]
    await book.finished(second, "Yes.")
    third = await book.sent("Are you there?")
    assert third.message_id != second.message_id, "the one before has its answer"
    assert await book.written() == [
        ("Hello.", "lost"),
        ("Are you there?", "answered"),
        ("Yes.", "complete"),
        ("Are you there?", "answering"),
    ]
