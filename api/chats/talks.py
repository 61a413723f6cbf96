"""Answers under way in this process. Whoever waits may leave: the answer is thought to its end and kept."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from sqlalchemy.exc import SQLAlchemyError

from api.chats import answering
from api.chats.answering import Asked, TooLate
from api.chats.process import ProcessGone, TextProcess
from api.chats.schemas import ChatMessage, ChatReply
from api.db.engine import Database
from api.http.errors import Unavailable
from api.settings import Settings
from pipelines.costs import Prices
from pipelines.text_link import Began, Ended, Piece, Used

_LOG = logging.getLogger(__name__)

MOST_AT_ONCE = 16
MOST_WAITING = 64
"""With those that are being answered; one more is refused before anything of it is kept."""
TURN_SECONDS = 150.0
"""The process ends a turn after 90; it may need the rest to start on a busy machine."""
RENEW_SECONDS = answering.LEASE_SECONDS / 3
SIGN_OF_LIFE_SECONDS = 10.0


class TooManyChats(Unavailable):
    """Too many messages are being answered now: try again in a moment"""


class AnswerLost(Unavailable):
    """The answer was lost with the process that thought about it: send the message again"""


@dataclass
class Talk:
    """One answer under way. One reader at most."""

    text: str = ""
    reply: ChatReply | None = None
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _is_over: bool = False

    def grow(self, text: str) -> None:
        """Some more of it."""
        self.text += text
        self._changed.set()

    def end(self) -> None:
        """With a reply, or without one for ever."""
        self._is_over = True
        self._changed.set()

    async def pieces(self) -> AsyncIterator[str]:
        """The answer as it grows; an empty piece says that there is still nothing new."""
        told = 0
        while True:
            if told < len(self.text):
                piece = self.text[told:]
                told = len(self.text)
                yield piece
            elif self._is_over:
                return
            else:
                self._changed.clear()
                try:
                    async with asyncio.timeout(SIGN_OF_LIFE_SECONDS):
                        await self._changed.wait()
                except TimeoutError:
                    yield ""

    async def whole(self) -> ChatReply:
        """The stored answer. Raises `AnswerLost`."""
        async for _ in self.pieces():
            pass
        if self.reply is None:
            raise AnswerLost(headers={"Retry-After": "1"})
        return self.reply


class Talks:
    """The answers of this process, so many at once; the others wait."""

    def __init__(self, database: Database, settings: Settings, prices: Prices) -> None:
        self._database, self._prices = database, prices
        self._process = TextProcess({"CALL2ME_HOME": str(settings.home), "CALL2ME_API_URL": settings.own_url})
        self._free = asyncio.Semaphore(MOST_AT_ONCE)
        self._running: set[asyncio.Task[None]] = set()

    def make_room(self) -> None:
        """Raises `TooManyChats` where one more could not be taken."""
        if len(self._running) >= MOST_WAITING:
            raise TooManyChats(headers={"Retry-After": "2"})

    async def expect(self) -> None:
        """Somebody will write soon: let the process that answers be there by then."""
        with contextlib.suppress(OSError):
            await self._process.start()

    def answer(self, asked: Asked) -> Talk:
        """Answer a message that is committed."""
        talk = Talk()
        task = asyncio.create_task(self._run(talk, asked), name="chat")
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return talk

    async def close(self) -> None:
        """Give up what is under way: those messages may be sent again."""
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await self._process.close()

    async def _run(self, talk: Talk, asked: Asked) -> None:
        renewing = asyncio.create_task(self._renew(asked), name="chat lease")
        try:
            async with self._free:
                await self._thought(talk, asked)
        except (ProcessGone, TooLate, TimeoutError, OSError, SQLAlchemyError) as error:
            _LOG.warning("an answer was lost", extra={"chat_id": asked.chat_id, "why": type(error).__name__})
        finally:
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)
            try:
                if talk.reply is None:
                    await self._lose(asked)
            finally:
                talk.end()

    async def _thought(self, talk: Talk, asked: Asked) -> None:
        try:
            async with (
                asyncio.timeout(TURN_SECONDS),
                contextlib.aclosing(self._process.turn(asked.attempt, asked.brief, asked.words)) as frames,
            ):
                async for frame in frames:
                    await self._take(talk, asked, frame)
        except TimeoutError:
            await self._process.end()  # it would have ended the turn itself if it still did anything
            raise

    async def _take(self, talk: Talk, asked: Asked, frame: Piece | Began | Used | Ended) -> None:
        if isinstance(frame, Piece):
            talk.grow(frame.text)
            return
        if isinstance(frame, Began):
            async with self._database.transaction() as session:
                told = await answering.function_begins(session, asked, frame)
            await self._process.go_on(told)
            return
        if isinstance(frame, Used):
            async with self._database.transaction() as session:
                await answering.function_ended(session, asked, frame)
            return
        async with self._database.transaction(is_durable=True) as session:  # an answer may be charged
            message, answer, ran = await answering.finish(session, asked, frame, self._prices)
        told_answer = ChatMessage.of(answer, ran, is_answering=False)
        if not talk.text:
            talk.grow(answer.content)  # words that were never streamed: an apology
        talk.reply = ChatReply(
            user_message=ChatMessage.of(message, (), is_answering=False),
            assistant_message=told_answer,
            message_id=answer.id,
            content=answer.content,
            function_calls=told_answer.function_calls,
        )

    async def _renew(self, asked: Asked) -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            with contextlib.suppress(SQLAlchemyError, OSError):
                async with self._database.transaction() as session:
                    await answering.renew(session, asked)

    async def _lose(self, asked: Asked) -> None:
        # Where this fails too, the attempt is over when it was not renewed for a while.
        with contextlib.suppress(TooLate, SQLAlchemyError, OSError):
            async with self._database.transaction() as session:
                await answering.lose(session, asked)
