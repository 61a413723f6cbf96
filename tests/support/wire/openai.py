"""Chat completions, speech and transcriptions, as OpenAI speaks them."""

import base64
import json
from typing import Any

import numpy as np
from aiohttp import web

from tests.support.wire import faults
from tests.support.wire.server import KEY, ProviderServer

CHAT_FIELDS = {
    *("model", "messages", "stream", "stream_options", "tools", "tool_choice", "temperature"),
    *("max_completion_tokens", "parallel_tool_calls", "reasoning_effort", "service_tier"),
}
SPEECH_FIELDS = {"input", "model", "voice", "response_format", "speed", "stream_format", "instructions"}
VOICES = "alloy ash ballad cedar coral echo fable marin nova onyx sage shimmer verse".split()
TRANSCRIPTION_FIELDS = {"file", "model", "language", "prompt", "response_format", "temperature"}
ROLES = {"system", "developer", "user", "assistant", "tool"}
SECONDS_A_LETTER = 0.05
_CHUNK = {"id": "chat-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}


class OpenAIWire:
    """Handlers over one `ProviderServer`."""

    def __init__(self, server: ProviderServer) -> None:
        self._server = server

    def add_to(self, app: web.Application) -> None:
        app.router.add_get("/v1/models", self.models)
        app.router.add_post("/v1/chat/completions", self.chat)
        app.router.add_post("/v1/audio/speech", self.speech)
        app.router.add_post("/v1/audio/transcriptions", self.transcriptions)

    def _refuse(self, status: int, message: str) -> web.Response:
        return self._server.refuse(
            status, {"error": {"message": message, "type": "invalid_request_error"}}, message
        )

    def _barred(self, request: web.Request, fault: faults.Fault) -> web.Response | None:
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return self._refuse(401, "Incorrect API key provided")
        refused = self._server.status if self._server.status != 200 else faults.status(fault)
        return self._refuse(refused, "not now") if refused else None

    async def models(self, request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": []})

    # ── chat ──
    async def chat(self, request: web.Request) -> web.StreamResponse:
        fault = self._server.faults.get("chat", "")
        if barred := self._barred(request, fault):
            return barred
        body: dict[str, Any] = await request.json()
        if wrong := _wrong_chat(body):
            return self._refuse(400, wrong)
        self._server.chats.append(body)
        if "stream" not in body:
            return self._at_once()
        reply = await _event_stream(request)
        if fault == "garbage":
            await reply.write(faults.GARBAGE.encode())
            return reply
        try:
            async for delta, finish in faults.pieces(fault, self._deltas(body)):
                await _chunk(reply, delta, finish)
        except faults.Cut:
            faults.hang_up(request)
            return reply
        usage = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
        await _event(reply, {**_CHUNK, "choices": [], "usage": usage})
        await reply.write(b"data: [DONE]\n\n")
        return reply

    def _at_once(self) -> web.Response:
        message: dict[str, Any] = {"role": "assistant", "content": self._server.answer}
        if self._server.call is not None:
            function = {"name": self._server.call[0], "arguments": json.dumps(self._server.call[1])}
            calls = [{"id": "call_1", "type": "function", "function": function}]
            message = {"role": "assistant", "content": None, "tool_calls": calls}
        usage = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return web.json_response({"model": "m", "choices": [choice], "usage": usage})

    def _deltas(self, body: dict[str, Any]) -> list[tuple[dict[str, Any], str | None]]:
        calls = self._server.calls or ([self._server.call] if self._server.call else [])
        if calls and body["messages"][-1]["role"] != "tool":
            deltas: list[tuple[dict[str, Any], str | None]] = []
            for index, (name, arguments) in enumerate(calls):
                # As OpenAI does: the name first, then the arguments in pieces.
                text = json.dumps(arguments)
                head = {"name": name, "arguments": ""}
                first = {"index": index, "id": f"call_{index}", "type": "function", "function": head}
                deltas.append(({"role": "assistant", "tool_calls": [first]}, None))
                for piece in (text[:4], text[4:]):
                    deltas.append(
                        ({"tool_calls": [{"index": index, "function": {"arguments": piece}}]}, None)
                    )
            return [*deltas, ({}, "tool_calls")]
        answer = self._server.continuation if _goes_on(body) else self._server.answer
        return [*(({"content": f"{word} "}, None) for word in answer.split(" ")), ({}, "stop")]

    # ── speech ──
    async def speech(self, request: web.Request) -> web.StreamResponse:
        fault = self._server.faults.get("speech", "")
        if barred := self._barred(request, fault):
            return barred
        body: dict[str, Any] = await request.json()
        if wrong := _wrong_speech(body):
            return self._refuse(400, wrong)
        self._server.speeches.append(body)
        pcm = tone(body["input"])
        if body.get("stream_format") != "sse":
            return web.Response(body=pcm, content_type="audio/pcm")
        reply = await _event_stream(request)
        chunks = [pcm[start : start + 4800] for start in range(0, len(pcm), 4800)]
        if fault == "garbage":
            chunks = []
            await reply.write(b"data: " + faults.GARBAGE.encode() + b"\n\n")
        try:
            async for chunk in faults.pieces(fault, chunks):
                audio = base64.b64encode(chunk).decode()
                await _event(reply, {"type": "speech.audio.delta", "audio": audio})
        except faults.Cut:
            faults.hang_up(request)
            return reply
        await _event(reply, {"type": "speech.audio.done", "usage": {"input_tokens": 3, "output_tokens": 9}})
        return reply

    # ── transcriptions ──
    async def transcriptions(self, request: web.Request) -> web.StreamResponse:
        fault = self._server.faults.get("transcriptions", "")
        if barred := self._barred(request, fault):
            return barred
        form = await request.post()
        if unknown := set(form) - TRANSCRIPTION_FIELDS:
            return self._refuse(400, f"Unrecognized request arguments supplied: {sorted(unknown)}")
        file = form["file"]
        if not isinstance(file, web.FileField) or file.file.read(4) != b"RIFF":
            return self._refuse(400, "Invalid file format.")
        self._server.transcriptions.append({key: value for key, value in form.items() if key != "file"})
        if fault == "garbage":
            return web.Response(text=faults.GARBAGE, content_type="text/html")
        try:
            async for text in faults.pieces(fault, [self._server.transcript]):
                return web.json_response({"text": text})
        except faults.Cut:
            faults.hang_up(request)
        return web.Response()


def tone(text: str) -> bytes:
    """What every voice here sounds like: as long as the words take. int16 mono, 24 kHz."""
    at = np.arange(int(24_000 * SECONDS_A_LETTER * len(text))) / 24_000
    return (np.sin(2 * np.pi * 300 * at) * 8000).astype(np.int16).tobytes()


def _goes_on(body: dict[str, Any]) -> bool:
    """True where the model is asked to go on after words of its own."""
    roles = [message["role"] for message in body["messages"][-2:]]
    return roles == ["assistant", "system"]


def _wrong_speech(body: dict[str, Any]) -> str:
    if unknown := set(body) - SPEECH_FIELDS:
        return f"Unrecognized request arguments supplied: {sorted(unknown)}"
    if body["voice"] not in VOICES:
        return f"Unknown voice {body['voice']}"
    if body["response_format"] not in ("pcm", "mp3") or not 0.25 <= body.get("speed", 1) <= 4:
        return "no such format at a bearable speed"
    return ""


def _wrong_chat(body: dict[str, Any]) -> str:
    if unknown := set(body) - CHAT_FIELDS:
        return f"Unrecognized request arguments supplied: {sorted(unknown)}"
    if "stream_options" in body and body.get("stream") is not True:
        return "The 'stream_options' parameter is only allowed when 'stream' is enabled."
    if "parallel_tool_calls" in body and not body.get("tools"):
        return "'parallel_tool_calls' is only allowed when 'tools' are specified."
    roles = {message["role"] for message in body["messages"]}
    return f"Invalid role: {roles - ROLES}" if roles - ROLES else _wrong_tools(body["messages"])


def _wrong_tools(messages: list[dict[str, Any]]) -> str:
    owed: set[str] = set()
    for message in messages:
        if message["role"] == "tool":
            if message["tool_call_id"] not in owed:
                return "messages with role 'tool' must be a response to a preceding message with 'tool_calls'"
            owed.discard(message["tool_call_id"])
        elif owed:
            break
        owed |= {call["id"] for call in message.get("tool_calls") or ()}
    return "An assistant message with 'tool_calls' must be followed by tool messages" if owed else ""


async def _event_stream(request: web.Request) -> web.StreamResponse:
    reply = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await reply.prepare(request)
    return reply


async def _chunk(reply: web.StreamResponse, delta: dict[str, Any], finish: str | None) -> None:
    await _event(reply, {**_CHUNK, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})


async def _event(reply: web.StreamResponse, data: dict[str, Any]) -> None:
    await reply.write(b"data: " + json.dumps(data).encode() + b"\n\n")
