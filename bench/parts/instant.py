"""Providers that take no time, over the vendors' own wire protocols: what is left is ours.

The recogniser is an oracle about time only: it calls an utterance over once 100 ms of it were quiet, as a
good streaming recogniser would. Its final words are those of `EXPECTED`, in order, then always the same.
"""

import asyncio
import json
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
from aiohttp import WSMsgType, web

RATE_IN = 16_000
RATE_OUT = 24_000
WORDS = "what are your opening hours on saturday"
EXPECTED: deque[tuple[str, float]] = deque(maxlen=64)
"""What is about to be said and for how many seconds, a stretch each; filled by whoever has it said."""
_EARLY_SECONDS = 0.35
"""A stretch is not over more than this before its time: a voice closes its mouth within a word as well."""
_SURELY_SECONDS = 0.4
ANSWER = "We are open from nine to one on Saturday."
LOUD = 300.0
QUIET_SECONDS = 0.1


def tone(seconds: float = 1.5, hertz: float = 440) -> bytes:
    """int16 mono at `RATE_OUT`."""
    at = np.arange(int(seconds * RATE_OUT)) / RATE_OUT
    return (np.sin(2 * np.pi * hertz * at) * 8_000).astype("<i2").tobytes()


async def listen(request: web.Request) -> web.WebSocketResponse:
    """Deepgram's /v1/listen: PCM in, `Results` out."""
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    speaking, quiet, clock, began = False, 0.0, 0.0, 0.0
    async for message in socket:
        if message.type is WSMsgType.TEXT and json.loads(message.data).get("type") == "CloseStream":
            break
        if message.type is not WSMsgType.BINARY:
            continue
        pcm = np.frombuffer(message.data, "<i2").astype(np.float32)
        seconds = len(pcm) / RATE_IN
        clock += seconds
        if len(pcm) and float(np.sqrt(np.mean(pcm**2))) > LOUD:
            if not speaking:
                await socket.send_json({"type": "SpeechStarted", "channel": [0, 1], "timestamp": clock})
                began = clock
            speaking, quiet = True, 0.0
            continue
        quiet += seconds
        lasts = EXPECTED[0][1] - _EARLY_SECONDS if EXPECTED else 0.0
        is_over = quiet >= QUIET_SECONDS and clock - quiet - began >= lasts
        if speaking and (is_over or quiet >= _SURELY_SECONDS):
            speaking = False
            await socket.send_json(results(EXPECTED.popleft()[0] if EXPECTED else WORDS, clock))
    await socket.close()
    return socket


def results(text: str, clock: float) -> dict[str, object]:
    """What Deepgram says of an utterance that is over."""
    words = [
        {"word": word, "start": clock, "end": clock, "confidence": 1.0, "punctuated_word": word}
        for word in text.split()
    ]
    return {
        "type": "Results",
        "channel_index": [0, 1],
        "start": 0.0,
        "duration": clock,
        "is_final": True,
        "speech_final": True,
        "channel": {"alternatives": [{"transcript": text, "confidence": 1.0, "words": words}]},
        "metadata": {"request_id": "instant"},
    }


async def complete(request: web.Request) -> web.StreamResponse:
    """OpenAI's /chat/completions, streamed."""
    await request.read()
    return await streamed(request, ANSWER)


async def streamed(request: web.Request, answer: str) -> web.StreamResponse:
    """A model's answer, as OpenAI streams it."""
    reply = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await reply.prepare(request)
    head = {
        "id": "instant",
        "object": "chat.completion.chunk",
        "created": int(time.time()),
        "model": "instant",
    }
    for delta, reason in (({"role": "assistant", "content": answer}, None), ({}, "stop")):
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        await reply.write(b"data: " + json.dumps({**head, "choices": [choice]}).encode() + b"\n\n")
    usage = {"prompt_tokens": 10, "completion_tokens": 10, "total_tokens": 20}
    await reply.write(b"data: " + json.dumps({**head, "choices": [], "usage": usage}).encode() + b"\n\n")
    await reply.write(b"data: [DONE]\n\n")
    return reply


async def speak(request: web.Request) -> web.Response:
    """OpenAI's /audio/speech: a tone at once."""
    await request.read()
    return web.Response(body=tone(), content_type="audio/pcm")


async def models(_: web.Request) -> web.Response:
    """OpenAI's /models, which the plugin asks for to warm its connection."""
    return web.json_response({"object": "list", "data": []})


@asynccontextmanager
async def instant_providers() -> AsyncIterator[dict[str, str]]:
    """Run them on a free port of this machine; yields the settings that point a stack at them."""
    app = web.Application()
    app.router.add_get("/v1/listen", listen)
    app.router.add_post("/v1/chat/completions", complete)
    app.router.add_post("/v1/audio/speech", speak)
    app.router.add_get("/v1/models", models)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        yield {
            "OPENAI_API_KEY": "instant",
            "OPENAI_BASE_URL": f"http://127.0.0.1:{port}/v1",
            "DEEPGRAM_API_KEY": "instant",
            "DEEPGRAM_BASE_URL": f"http://127.0.0.1:{port}/v1/listen",
        }
    finally:
        await asyncio.wait_for(runner.cleanup(), 5)
