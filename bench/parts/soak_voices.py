"""Ears, mind and voice of a soak, over the vendors' wire protocols: whatever is said has a number.

What a caller says is heard as `Question one two.`; its answer is `Answer three four.`, and the voice says
that as a tone whose pitch is the number, so that a telephone knows which answers it heard.
"""

import asyncio
import contextlib
import json
import logging
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

import numpy as np
from aiohttp import WSMsgType, web

from bench.parts.instant import LOUD, RATE_IN, models, results, streamed, tone

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TONE_SECONDS = 1.2
LOWEST_HERTZ, STEP_HERTZ, PITCHES = 500, 20, 100
OTHER_HERTZ = 300
"""Of whatever is no answer: the greeting, an apology."""
QUIET_SECONDS = 0.4
_WORDS = re.compile(r"(?:question|answer|note)((?: (?:" + "|".join(DIGITS) + r"))+)", re.IGNORECASE)


def spelled(kind: str, number: int) -> str:
    """`Answer one two.`"""
    return f"{kind} {' '.join(DIGITS[int(digit)] for digit in str(number))}."


def number_in(text: str, kind: str) -> int | None:
    """The last number of this kind in a text."""
    found = [match for match in _WORDS.finditer(text) if match[0].lower().startswith(kind.lower())]
    if not found:
        return None
    return int("".join(str(DIGITS.index(word.lower())) for word in found[-1][1].split()))


def pitch_of(number: int) -> int:
    """Hertz."""
    return LOWEST_HERTZ + STEP_HERTZ * (number % PITCHES)


@dataclass
class Voices:
    """Counts whatever is said."""

    last: int = 0

    def _next(self) -> int:
        self.last += 1
        return self.last

    async def listen(self, request: web.Request) -> web.WebSocketResponse:
        """Deepgram's /v1/listen."""
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        is_speech, quiet, clock = False, 0.0, 0.0
        async for message in socket:
            if message.type is WSMsgType.TEXT and json.loads(message.data).get("type") == "CloseStream":
                break
            if message.type is not WSMsgType.BINARY:
                continue
            pcm = np.frombuffer(message.data, "<i2").astype(np.float32)
            clock += len(pcm) / RATE_IN
            if len(pcm) and float(np.sqrt(np.mean(pcm**2))) > LOUD:
                is_speech, quiet = True, 0.0
                continue
            quiet += len(pcm) / RATE_IN
            if is_speech and quiet >= QUIET_SECONDS:
                is_speech = False
                await socket.send_json(results(spelled("Question", self._next()), clock))
        await socket.close()
        return socket

    async def think(self, request: web.Request) -> web.StreamResponse:
        """OpenAI's /chat/completions: an answer, or what a call was about."""
        body = await request.json()
        if not body.get("stream"):
            told = {"summary": "They talked.", "successful": True, "sentiment": "neutral", "fields": {}}
            message = {"role": "assistant", "content": json.dumps(told)}
            usage = {"prompt_tokens": 10, "completion_tokens": 10, "total_tokens": 20}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            return web.json_response({"id": "soak", "choices": [choice], "usage": usage})
        return await streamed(request, spelled("Answer", self._next()))


async def _speak(request: web.Request) -> web.Response:
    """OpenAI's /audio/speech."""
    number = number_in(str((await request.json()).get("input")), "answer")
    hertz = OTHER_HERTZ if number is None else pitch_of(number)
    return web.Response(body=tone(TONE_SECONDS, hertz), content_type="audio/pcm")


@contextlib.asynccontextmanager
async def voices() -> AsyncIterator[dict[str, str]]:
    """Serve until the block ends; the settings that lead there."""
    made, app = Voices(), web.Application()
    app.router.add_get("/v1/listen", made.listen)
    app.router.add_post("/v1/chat/completions", made.think)
    app.router.add_post("/v1/audio/speech", _speak)
    app.router.add_get("/v1/models", models)
    # Whoever asks may be killed meanwhile: that is no error of this server's.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    try:
        yield {
            "OPENAI_API_KEY": "soak",
            "OPENAI_BASE_URL": url,
            "DEEPGRAM_API_KEY": "soak",
            "DEEPGRAM_BASE_URL": f"{url}/listen",
        }
    finally:
        await asyncio.wait_for(runner.cleanup(), 5)
