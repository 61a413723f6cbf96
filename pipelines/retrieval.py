"""Passages for the turn that is being answered, looked for while the caller still speaks.

user       ▁▁█████████████▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁
words         ├interim┤├interim┤ └final┐
search         └─ms─┘    └─ms─┘        └ms┘ only if the final words are others
llm_node                                 └ reads what is there
"""

import asyncio
import logging
import re
import time
from collections import OrderedDict
from collections.abc import Sequence

from livekit.agents import llm

from pipelines.tools.knowledge import Finds, Passage, told

logger = logging.getLogger(__name__)

DEADLINE_SECONDS = 0.3
"""An answer without a passage is better than a pause that the caller fills."""
_KEPT = 8
_MARKS = re.compile(r"[\W_]+")
_FILLERS = frozenset("um uh uhm er erm hmm mm mhm ee eee ıı şey eh äh ähm euh".split())


class Retrieval:
    """Finds passages for questions, each once: ahead of time, for all steps of a turn, and again for none.

    Two questions are the same when they differ only in case, marks and hesitation.
    """

    def __init__(
        self, knowledge: Finds, deadline_seconds: float = DEADLINE_SECONDS, *, is_asked: bool = False
    ) -> None:
        """`is_asked`: the agent has a function to ask with, and is told nothing by itself."""
        self.knowledge = knowledge
        self._deadline_seconds = deadline_seconds
        self.is_asked = is_asked
        self._found: OrderedDict[str, Sequence[Passage]] = OrderedDict()
        self._running: tuple[str, asyncio.Task[Sequence[Passage]]] | None = None
        self._next = ""
        self._taken: list[Passage] = []
        self.last_ms: float | None = None
        """How long the last answer waited for its passages; 0 when they were there already."""

    def ahead(self, question: str) -> None:
        """Look for passages to what seems to be asked, in the background.

        One search runs at a time, and only the newest question waits for its turn.
        """
        key = _key(question)
        if not key or self.is_asked or key in self._found:
            return
        if self._running is not None and not self._running[1].done():
            self._next = question
            return
        self._next = ""
        task = asyncio.create_task(self._search(question), name="retrieval")
        self._running = key, task
        task.add_done_callback(self._ran)

    async def add_to(self, chat_ctx: llm.ChatContext, question: str) -> llm.ChatContext:
        """A copy of the context with what was found, before the last thing the person said."""
        if self.is_asked or not _key(question):
            return chat_ctx
        passages = await self._within_time(question)
        if passages is None:
            return chat_ctx
        self._taken = list(passages)
        copy = chat_ctx.copy()
        at = next(
            (
                index
                for index in range(len(copy.items) - 1, -1, -1)
                if isinstance(item := copy.items[index], llm.ChatMessage) and item.role == "user"
            ),
            len(copy.items),
        )
        copy.items.insert(at, told(passages))
        return copy

    async def ask(self, question: str) -> Sequence[Passage]:
        """What a function asks for."""
        passages = await self._within_time(question) if _key(question) else ()
        self._taken += passages or ()
        return passages or ()

    def take(self) -> list[Passage]:
        """The passages that the answer just given had before it; each is taken once."""
        taken, self._taken = self._taken, []
        return taken

    async def aclose(self) -> None:
        """Stop looking."""
        self._next = ""
        if self._running is not None:
            self._running[1].cancel()
            await asyncio.gather(self._running[1], return_exceptions=True)

    async def _within_time(self, question: str) -> Sequence[Passage] | None:
        """None when it took too long or failed: that is no sign of what the knowledge base holds."""
        key, started = _key(question), time.perf_counter()
        if (passages := self._found.get(key)) is not None:
            self.last_ms = 0.0
            return passages
        try:
            async with asyncio.timeout(self._deadline_seconds):
                if self._running is not None and self._running[0] == key:
                    return await asyncio.shield(self._running[1])
                return await self._search(question)
        except Exception as error:  # noqa: BLE001 - whatever is wrong there, the caller gets an answer
            logger.warning("the knowledge base gave no answer", extra={"error": type(error).__name__})
            return None
        finally:
            self.last_ms = (time.perf_counter() - started) * 1000

    async def _search(self, question: str) -> Sequence[Passage]:
        passages = await self.knowledge.find(question)
        self._found[_key(question)] = passages
        while len(self._found) > _KEPT:
            self._found.popitem(last=False)
        return passages

    def _ran(self, task: "asyncio.Task[Sequence[Passage]]") -> None:
        if not task.cancelled() and task.exception() is not None:
            logger.info("a search ahead failed", extra={"error": type(task.exception()).__name__})
        if not task.cancelled() and (question := self._next):
            self.ahead(question)

    def forget(self) -> None:
        """What was found is of no more use: the knowledge base has changed."""
        self._found.clear()


def _key(question: str) -> str:
    words = _MARKS.sub(" ", question.casefold()).split()
    return " ".join(word for word in words if word not in _FILLERS)
