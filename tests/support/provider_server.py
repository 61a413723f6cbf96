"""A server that speaks the wire protocols of OpenAI and Deepgram, and refuses what they would refuse."""

import base64
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from aiohttp import WSMsgType, web

KEY = "provider-key"
_CHAT_FIELDS = {
    "model",
    "messages",
    "stream",
    "stream_options",
    "tools",
    "tool_choice",
    "temperature",
    "max_completion_tokens",
    "parallel_tool_calls",
}
_SPEECH_FIELDS = {"input", "model", "voice", "response_format", "speed", "stream_format", "instructions"}
_LISTEN_FIELDS = {
    *("model", "language", "punctuate", "smart_format", "no_delay", "interim_results", "encoding"),
    *("sample_rate", "channels", "endpointing", "filler_words", "vad_events", "profanity_filter", "numerals"),
    *("mip_opt_out", "keywords", "keyterm", "tag", "redact", "diarize", "dictation"),
}


@dataclass
class ProviderServer:
    """What it answers, and what it was asked. `status` other than 200 refuses everything."""

    url: str
    transcript: str = "what are your hours"
    answer: str = "We are open from nine to five."
    call: tuple[str, dict[str, Any]] | None = None
    """A function to call before answering."""
    status: int = 200
    chats: list[dict[str, Any]] = field(default_factory=list)
    speeches: list[dict[str, Any]] = field(default_factory=list)
    listens: list[dict[str, str]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


@contextlib.asynccontextmanager
async def provider_server(port: int) -> AsyncIterator[ProviderServer]:
    """Serve on loopback until the block ends."""
    server = ProviderServer(f"http://127.0.0.1:{port}")
    app = web.Application()
    wire = _Wire(server)
    app.router.add_get("/v1/models", wire.models)
    app.router.add_post("/v1/chat/completions", wire.chat)
    app.router.add_post("/v1/audio/speech", wire.speech)
    app.router.add_get("/v1/listen", wire.listen)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield server
    finally:
        await runner.cleanup()


class _Wire:
    def __init__(self, server: ProviderServer) -> None:
        self._server = server

    def _refuse(self, status: int, message: str) -> web.Response:
        self._server.refused.append(message)
        return web.json_response(
            {"error": {"message": message, "type": "invalid_request_error"}}, status=status
        )

    async def _checked(self, request: web.Request, known: set[str]) -> dict[str, Any] | web.Response:
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return self._refuse(401, "Incorrect API key provided")
        if self._server.status != 200:
            return self._refuse(self._server.status, "not now")
        body: dict[str, Any] = await request.json()
        if unknown := set(body) - known:
            return self._refuse(400, f"Unrecognized request arguments supplied: {sorted(unknown)}")
        return body

    async def models(self, request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": []})

    async def chat(self, request: web.Request) -> web.StreamResponse:
        body = await self._checked(request, _CHAT_FIELDS)
        if isinstance(body, web.Response):
            return body
        if body.get("stream") is not True:
            return self._refuse(400, "only streams")
        for message in body["messages"]:
            if message["role"] not in {"system", "developer", "user", "assistant", "tool"}:
                return self._refuse(400, f"Invalid role: {message['role']}")
        self._server.chats.append(body)
        reply = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await reply.prepare(request)
        called = self._server.call
        if called is not None and body["messages"][-1]["role"] != "tool":
            function = {"name": called[0], "arguments": json.dumps(called[1])}
            calls = [{"index": 0, "id": "call_1", "type": "function", "function": function}]
            await self._chunk(reply, {"role": "assistant", "tool_calls": calls}, None)
            await self._chunk(reply, {}, "tool_calls")
        else:
            for word in self._server.answer.split(" "):
                await self._chunk(reply, {"content": f"{word} "}, None)
            await self._chunk(reply, {}, "stop")
        usage = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
        await self._event(reply, {**_CHUNK, "choices": [], "usage": usage})
        await reply.write(b"data: [DONE]\n\n")
        return reply

    async def _chunk(self, reply: web.StreamResponse, delta: dict[str, Any], finish: str | None) -> None:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        await self._event(reply, {**_CHUNK, "choices": [choice]})

    async def _event(self, reply: web.StreamResponse, data: dict[str, Any]) -> None:
        await reply.write(b"data: " + json.dumps(data).encode() + b"\n\n")

    async def speech(self, request: web.Request) -> web.StreamResponse:
        body = await self._checked(request, _SPEECH_FIELDS)
        if isinstance(body, web.Response):
            return body
        if body["response_format"] != "pcm" or not 0.25 <= body.get("speed", 1) <= 4:
            return self._refuse(400, "only pcm at a bearable speed")
        self._server.speeches.append(body)
        at = np.arange(int(24_000 * 0.05 * len(body["input"]))) / 24_000
        pcm = (np.sin(2 * np.pi * 300 * at) * 8000).astype(np.int16).tobytes()
        reply = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await reply.prepare(request)
        for start in range(0, len(pcm), 9600):
            audio = base64.b64encode(pcm[start : start + 9600]).decode()
            await self._event(reply, {"type": "speech.audio.delta", "audio": audio})
        await self._event(
            reply, {"type": "speech.audio.done", "usage": {"input_tokens": 3, "output_tokens": 9}}
        )
        return reply

    async def listen(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Token {KEY}":
            return self._refuse(401, "INVALID_AUTH")
        if unknown := set(request.query) - _LISTEN_FIELDS:
            return self._refuse(400, f"unknown parameters {sorted(unknown)}")
        self._server.listens.append(dict(request.query))
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        quiet_bytes, was_loud, second = 0, False, int(request.query["sample_rate"]) * 2
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                if json.loads(message.data)["type"] == "CloseStream":
                    break
                continue
            loud = np.abs(np.frombuffer(message.data, np.int16).astype(int)).max(initial=0) > 500
            if loud and not was_loud:
                await socket.send_json({"type": "SpeechStarted", "timestamp": 0.0, "channel": [0]})
            was_loud, quiet_bytes = was_loud or bool(loud), 0 if loud else quiet_bytes + len(message.data)
            if was_loud and quiet_bytes > second // 5:
                was_loud = False
                await socket.send_json(self._results())
        await socket.close()
        return socket

    def _results(self) -> dict[str, Any]:
        words = [
            {"word": word, "start": 0.1 * i, "end": 0.1 * i + 0.1, "confidence": 0.99}
            for i, word in enumerate(self._server.transcript.split())
        ]
        best = {"transcript": self._server.transcript, "confidence": 0.99, "words": words}
        return {
            "type": "Results",
            "is_final": True,
            "speech_final": True,
            "start": 0.0,
            "duration": 1.0,
            "channel": {"alternatives": [best]},
            "metadata": {"request_id": "r"},
        }


_CHUNK = {"id": "chat-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
