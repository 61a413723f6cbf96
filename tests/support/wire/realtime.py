"""OpenAI Realtime, as far as a telephone call needs it: sound in, turns, sound and functions out."""

import base64
import itertools
import json
from typing import Any

from aiohttp import WSMsgType, web

from tests.support.wire.deepgram import Loudness
from tests.support.wire.openai import tone
from tests.support.wire.server import KEY, ProviderServer

SESSION_FIELDS = {
    *("type", "model", "output_modalities", "audio", "max_output_tokens", "tool_choice", "tracing"),
    *("instructions", "tools", "truncation", "reasoning"),
}
RESPONSE_FIELDS = {"instructions", "metadata", "tool_choice", "tools"}
ITEM_TYPES = {"message", "function_call", "function_call_output"}
TOOL_FIELDS = {"type", "name", "description", "parameters"}


class RealtimeWire:
    """Handlers over one `ProviderServer`."""

    def __init__(self, server: ProviderServer) -> None:
        self._server = server

    def add_to(self, app: web.Application) -> None:
        app.router.add_get("/v1/realtime", self.serve)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return self._server.refuse(401, {"error": {"message": "invalid key"}}, "invalid key")
        if set(request.query) != {"model"} or not request.query["model"].startswith("gpt-realtime"):
            return self._server.refuse(400, {"error": {"message": "no such model"}}, "no such model")
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        talk = _Talk(self._server, socket)
        await talk.send("session.created", session={"type": "realtime"})
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                await talk.take(json.loads(message.data))
        return socket


class _Talk:
    def __init__(self, server: ProviderServer, socket: web.WebSocketResponse) -> None:
        self._server, self._socket = server, socket
        self._ids = itertools.count(1)
        self._loudness = Loudness(24_000)
        self._last_item: str | None = None
        self._has_called = False

    async def send(self, kind: str, **event: Any) -> None:
        await self._socket.send_json({"type": kind, "event_id": f"event_{next(self._ids)}", **event})

    async def _refuse(self, event: dict[str, Any], message: str) -> None:
        self._server.refused.append(message)
        error = {"type": "invalid_request_error", "code": "bad", "message": message}
        await self.send("error", error={**error, "event_id": event.get("event_id")})

    async def take(self, event: dict[str, Any]) -> None:
        match event["type"]:
            case "session.update":
                await self._session(event)
            case "input_audio_buffer.append":
                await self._hear(base64.b64decode(event["audio"]))
            case "conversation.item.create":
                await self._create(event)
            case "conversation.item.delete":
                await self.send("conversation.item.deleted", item_id=event["item_id"])
            case "conversation.item.truncate":
                await self.send("conversation.item.truncated", item_id=event["item_id"])
            case "response.create":
                asked = event.get("response") or {}
                if unknown := set(asked) - RESPONSE_FIELDS:
                    await self._refuse(event, f"Unknown parameter: {sorted(unknown)}")
                else:
                    self._server.chats.append({"realtime": asked})
                    await self._respond(asked.get("metadata"))
            case "response.cancel" | "input_audio_buffer.clear" | "input_audio_buffer.commit":
                pass
            case unknown_kind:
                await self._refuse(event, f"Unknown event {unknown_kind}")

    async def _session(self, event: dict[str, Any]) -> None:
        session = event["session"]
        tools = session.get("tools") or []
        unknown = set(session) - SESSION_FIELDS
        unknown |= {field for tool in tools for field in set(tool) - TOOL_FIELDS}
        rates = [side["format"]["rate"] for side in (session.get("audio") or {}).values() if "format" in side]
        if unknown or session.get("type") != "realtime" or any(rate != 24_000 for rate in rates):
            await self._refuse(event, f"Unknown parameter: {sorted(unknown)}")
            return
        self._server.realtime_sessions.append(session)
        await self.send("session.updated", session=session)

    async def _hear(self, pcm: bytes) -> None:
        step = self._loudness.take(pcm)
        if step == "began":
            self._item = f"item_{next(self._ids)}"
            await self.send("input_audio_buffer.speech_started", item_id=self._item, audio_start_ms=0)
        elif step == "ended":
            await self.send("input_audio_buffer.speech_stopped", item_id=self._item, audio_end_ms=1)
            content = [{"type": "input_audio", "transcript": None}]
            await self._add({"id": self._item, "type": "message", "role": "user", "content": content})
            await self.send(
                "conversation.item.input_audio_transcription.completed",
                item_id=self._item,
                content_index=0,
                transcript=self._server.transcript,
                logprobs=None,
                usage={"type": "duration", "seconds": 1.0},
            )
            await self._respond(None)

    async def _create(self, event: dict[str, Any]) -> None:
        item = event["item"]
        if item["type"] not in ITEM_TYPES:
            await self._refuse(event, f"Unknown item {item['type']}")
            return
        if item["type"] == "function_call_output":
            self._server.chats.append({"result": item})
        await self._add(item)

    async def _add(self, item: dict[str, Any]) -> None:
        await self.send("conversation.item.added", previous_item_id=self._last_item, item=item)
        self._last_item = item["id"]

    async def _respond(self, metadata: Any) -> None:
        response_id, item_id = f"resp_{next(self._ids)}", f"item_{next(self._ids)}"
        response = {"id": response_id, "object": "realtime.response", "status": "in_progress"}
        await self.send("response.created", response={**response, "metadata": metadata, "output": []})
        where = {"response_id": response_id, "output_index": 0}
        if self._server.call is not None and metadata is None and not self._has_called:
            self._has_called = True
            item = {"id": item_id, "type": "function_call", "call_id": "call_1", "status": "in_progress"}
            item |= {"name": self._server.call[0], "arguments": ""}
        else:
            item = {"id": item_id, "type": "message", "role": "assistant", "content": []}
        await self.send("response.output_item.added", **where, item=item)
        await self._add(item)
        if item["type"] == "function_call":
            item |= {"arguments": json.dumps(self._server.call[1] if self._server.call else {})}
        else:
            await self._speak({**where, "item_id": item_id, "content_index": 0})
        await self.send("response.output_item.done", **where, item={**item, "status": "completed"})
        usage = {"total_tokens": 18, "input_tokens": 11, "output_tokens": 7}
        done = {**response, "status": "completed", "output": [item], "usage": usage, "metadata": metadata}
        await self.send("response.done", response=done)

    async def _speak(self, where: dict[str, Any]) -> None:
        await self.send("response.content_part.added", **where, part={"type": "audio", "transcript": ""})
        for word in self._server.answer.split():
            await self.send("response.output_audio_transcript.delta", **where, delta=f"{word} ")
        pcm = tone(self._server.answer)
        for start in range(0, len(pcm), 9600):
            audio = base64.b64encode(pcm[start : start + 9600]).decode()
            await self.send("response.output_audio.delta", **where, delta=audio)
        await self.send("response.output_audio.done", **where)
