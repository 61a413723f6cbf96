"""A caller waits for a line: music, and their place in the queue, told in the agent's voice.

caller  ♪♪ "you are number two in line" ♪♪♪♪♪♪♪ "you are next" ♪♪♪♪ the agent, as in any call
                                          ├─ hangs up ─────────► the others move up
                                          ├─ presses 1 ────────► is called back
                                          └─ too long ─────────► is called back, or told to call again

Nobody listens meanwhile, and nothing is recorded; the call begins with the agent.
"""

import asyncio
import contextlib
import functools
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from livekit.agents import APIError

from pipelines.assemble import Pipeline
from pipelines.contract.brief import CallBrief
from pipelines.contract.brief import Queue as Terms
from pipelines.phrases import phrase
from worker.endings import Ending
from worker.lines.line import Line, Queues
from worker.lines.rtp.codecs import Resampler
from worker.racing import first

logger = logging.getLogger(__name__)

ABANDONED, TIMEOUT, CALLBACK = "queue_abandoned", "queue_timeout", "queue_callback"
KEY = "1"
SAY_SECONDS = 20.0
"""To make and say one sentence; whoever waits hears music instead of one that takes longer."""
APART_SECONDS = 4.0
"""Music at least between two sentences, however quickly the queue moves."""
SETTLE_SECONDS = 0.4
"""From the answer until the first word can be heard at the other side."""
_MOST_KEPT = 64
_kept: "OrderedDict[tuple[str, str, int], bytes]" = OrderedDict()
"""What was said, by voice, words and rate: whoever waits next hears the same sentences."""
_TURN = Ending("ended", "")

Voice = Callable[[str], Awaitable[bytes]]
"""A sentence as int16 mono at the line's rate; empty where it cannot be said."""


async def waited(
    line: Line,
    brief: CallBrief,
    pipeline: Pipeline,
    ordered: Callable[[], Awaitable[Ending]],
    must_call_back: Callable[[str], None],
) -> Ending | None:
    """Return once it is the caller's turn, or how the call ended before it was.

    `ordered` returns when somebody outside ends the call; `must_call_back` notes why.
    """
    terms = brief.queue
    if terms is None or not isinstance(line, Queues) or not line.place.has_waited:
        return None
    wait = _Wait(line, terms, functools.partial(_spoken, brief, pipeline, line.rate), pipeline.language)
    ending = await first(wait.turn(), wait.told(), wait.limit(), wait.key(), _left(line), _of(ordered))
    if ending is _TURN:
        line.go_on()
        return None
    if ending.reason in (TIMEOUT, CALLBACK):
        if ending.reason == CALLBACK:
            must_call_back("Waited in the queue")
        await wait.part(ending.reason)
    return ending


class _Wait:
    """One caller's."""

    def __init__(self, line: Queues, terms: Terms, voice: Voice, language: str) -> None:
        self._line, self._terms, self._voice, self._language = line, terms, voice, language

    async def turn(self) -> Ending:
        """It is their turn."""
        place = self._line.place.at
        while place:
            place = await self._line.place.other_than(place)
        return _TURN

    async def told(self) -> None:
        """Tell them where they stand: at once, at each change, and every so often."""
        await asyncio.sleep(SETTLE_SECONDS)
        while place := self._line.place.at:
            await self._say(self._words(place))
            await asyncio.sleep(APART_SECONDS)
            with contextlib.suppress(TimeoutError):
                wait = max(0.0, self._terms.every_seconds - APART_SECONDS)
                await asyncio.wait_for(self._line.place.other_than(place), wait)

    async def limit(self) -> Ending:
        """Nobody was free for as long as they may wait."""
        await asyncio.sleep(max(0.0, (self._terms.until - datetime.now(UTC)).total_seconds()))
        return Ending("ended", CALLBACK if self._terms.offers_callback else TIMEOUT)

    async def key(self) -> Ending | None:
        """They want to be called back instead."""
        if not self._terms.offers_callback:
            return None
        while await self._line.digit() != KEY:
            pass
        return Ending("ended", CALLBACK)

    async def part(self, reason: str) -> None:
        """The last words for somebody who is not answered."""
        await self._say(phrase("queue_noted" if reason == CALLBACK else "queue_over", self._language))

    def _words(self, place: int) -> str:
        words = phrase("queue_next" if place == 1 else "queue_place", self._language).format(place=place)
        if self._terms.offers_callback:
            words = f"{words} {phrase('queue_callback', self._language)}"
        return words

    async def _say(self, words: str) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SAY_SECONDS):
                if pcm := await self._voice(words):
                    await self._line.announce(pcm)


async def _left(line: Line) -> Ending:
    closed = await line.closed()
    return Ending("ended", ABANDONED if closed.cause == "user_hangup" else closed.cause)


async def _of(ordered: Callable[[], Awaitable[Ending]]) -> Ending:
    return await ordered()


async def _spoken(brief: CallBrief, pipeline: Pipeline, rate: int, words: str) -> bytes:
    """In the agent's voice. Whatever fails there, whoever waits hears music."""
    key = (f"{brief.agent.language} {brief.agent.voice.model_dump_json()}", words, rate)
    if (known := _kept.get(key)) is not None:
        _kept.move_to_end(key)
        return known
    resampler: Resampler | None = None
    pcm = b""
    try:
        async with pipeline.tts.synthesize(pipeline.speakable.text(words)) as made:
            async for one in made:
                resampler = resampler or Resampler(one.frame.sample_rate, rate)
                pcm += resampler.push(bytes(one.frame.data))
    except (APIError, OSError, RuntimeError) as error:
        logger.warning("a place in the queue was not told", extra={"error": type(error).__name__})
        return b""
    pcm += resampler.finish() if resampler is not None else b""
    if pcm:
        _kept[key] = pcm
        if len(_kept) > _MOST_KEPT:
            _kept.popitem(last=False)
    return pcm
