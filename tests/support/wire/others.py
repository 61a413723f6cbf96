"""What the optional extras speak: Anthropic's messages, Gemini, ElevenLabs' and Cartesia's voices."""

import base64
import json
from typing import Any

from aiohttp import WSMsgType, web

from tests.support.wire.deepgram import Loudness
from tests.support.wire.openai import tone
from tests.support.wire.server import KEY, ProviderServer

MESSAGE_FIELDS = {
    "messages",
    "model",
    "stream",
    "max_tokens",
    "temperature",
    "system",
    "tools",
    "tool_choice",
}
GEMINI_FIELDS = {"contents", "systemInstruction", "generationConfig", "tools", "toolConfig"}
GEMINI_CONFIG = {"temperature", "maxOutputTokens", "thinkingConfig"}
ELEVENLABS_QUERY = {
    *("model_id", "output_format", "language_code", "enable_ssml_parsing", "enable_logging"),
    *("inactivity_timeout", "apply_text_normalization", "sync_alignment", "auto_mode"),
}
ELEVENLABS_FIELDS = {"text", "context_id", "flush", "close_context", "voice_settings", "generation_config"}
SCRIBE_QUERY = {
    *("model_id", "audio_format", "commit_strategy", "enable_logging", "language_code", "keyterms"),
    *("vad_silence_threshold_secs", "vad_threshold", "min_speech_duration_ms", "min_silence_duration_ms"),
}
SCRIBE_FIELDS = {"message_type", "audio_base_64", "commit", "sample_rate", "previous_text"}
INK_QUERY = {"model", "sample_rate", "encoding", "language"}
CARTESIA_FIELDS = {
    *("model_id", "voice", "output_format", "language", "add_timestamps", "generation_config"),
    *("context_id", "transcript", "continue", "flush", "max_buffer_delay_ms"),
}


class OthersWire:
    """Handlers over one `ProviderServer`."""

    def __init__(self, server: ProviderServer) -> None:
        self._server = server

    def add_to(self, app: web.Application) -> None:
        app.router.add_post("/v1/messages", self.messages)
        app.router.add_get("/v1beta/models", self.gemini_models)
        app.router.add_post("/v1beta/models/{model}", self.gemini)
        app.router.add_get("/v1/text-to-speech/{voice}/multi-stream-input", self.elevenlabs)
        app.router.add_get("/tts/websocket", self.cartesia)
        app.router.add_get("/v1/speech-to-text/realtime", self.scribe)
        app.router.add_get("/stt/websocket", self.ink)

    def _refuse(self, status: int, message: str) -> web.Response:
        return self._server.refuse(status, {"type": "error", "error": {"message": message}}, message)

    # ── Anthropic ──
    async def messages(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("x-api-key") != KEY or "anthropic-version" not in request.headers:
            return self._refuse(401, "invalid x-api-key")
        body: dict[str, Any] = await request.json()
        if unknown := set(body) - MESSAGE_FIELDS:
            return self._refuse(400, f"{sorted(unknown)}: Extra inputs are not permitted")
        if not 0 <= body.get("temperature", 1) <= 1:
            return self._refuse(400, "temperature: must be between 0 and 1")
        if body["messages"][0]["role"] != "user":
            return self._refuse(400, "messages: first message must use the user role")
        self._server.chats.append(body)
        reply = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await reply.prepare(request)
        usage = {"input_tokens": 11, "output_tokens": 7}
        message = {"id": "m", "type": "message", "role": "assistant", "content": [], "model": body["model"]}
        message |= {"stop_reason": None, "stop_sequence": None, "usage": usage | {"output_tokens": 0}}
        events: list[dict[str, Any]] = [
            {"type": "message_start", "message": message},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            *(
                {
                    "type": "content_block_delta",
                    "index": 0,
                    "delta": {"type": "text_delta", "text": f"{word} "},
                }
                for word in self._server.answer.split()
            ),
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage},
            {"type": "message_stop"},
        ]
        for event in events:
            await reply.write(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())
        return reply

    # ── Gemini ──
    async def gemini_models(self, request: web.Request) -> web.Response:
        if request.headers.get("x-goog-api-key") != KEY:
            return self._refuse(400, "API key not valid")
        self._server.listed += 1
        return web.json_response({"models": [{"name": "models/gemini-2.5-flash"}]})

    async def gemini(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("x-goog-api-key") != KEY:
            return self._refuse(400, "API key not valid")
        if not request.match_info["model"].endswith(":streamGenerateContent"):
            return self._refuse(404, "unknown method")
        body: dict[str, Any] = await request.json()
        unknown = (set(body) - GEMINI_FIELDS) | (set(body.get("generationConfig", {})) - GEMINI_CONFIG)
        if unknown:
            return self._refuse(400, f"Unknown name {sorted(unknown)}")
        self._server.chats.append(body)
        reply = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await reply.prepare(request)
        words = self._server.answer.split()
        for index, word in enumerate(words):
            candidate: dict[str, Any] = {"content": {"role": "model", "parts": [{"text": f"{word} "}]}}
            if index == len(words) - 1:
                candidate["finishReason"] = "STOP"
            usage = {"promptTokenCount": 11, "candidatesTokenCount": 7, "totalTokenCount": 18}
            data = {"candidates": [candidate], "usageMetadata": usage, "responseId": "r"}
            await reply.write(b"data: " + json.dumps(data).encode() + b"\r\n\r\n")
        return reply

    # ── ElevenLabs ──
    async def elevenlabs(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("xi-api-key") != KEY:
            return self._refuse(401, "invalid_api_key")
        if unknown := set(request.query) - ELEVENLABS_QUERY:
            return self._refuse(400, f"unknown parameters {sorted(unknown)}")
        if request.query["output_format"] != "pcm_24000":
            return self._refuse(400, "output_format")
        self._server.speaks.append({"voice": request.match_info["voice"], **request.query})
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        texts: dict[str, str] = {}
        async for message in socket:
            asked = json.loads(message.data)
            if unknown := set(asked) - ELEVENLABS_FIELDS:
                self._server.refused.append(f"unknown fields {sorted(unknown)}")
                break
            context = asked["context_id"]
            if "voice_settings" in asked:
                self._server.speaks[-1]["voice_settings"] = asked["voice_settings"]
            texts[context] = texts.get(context, "") + asked.get("text", "")
            if asked.get("close_context"):
                self._server.speeches.append({"input": texts[context].strip()})
                audio = base64.b64encode(tone(texts[context])).decode()
                await socket.send_json({"audio": audio, "contextId": context})
                await socket.send_json({"isFinal": True, "contextId": context})
        return socket

    async def scribe(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("xi-api-key") != KEY:
            return self._refuse(401, "invalid_api_key")
        query = request.query
        if (unknown := set(query) - SCRIBE_QUERY) or query["audio_format"] != "pcm_16000":
            return self._refuse(400, f"unknown parameters {sorted(unknown)}")
        self._server.listens.append({**query, "keyterm": query.getall("keyterms", [])})
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_json({"message_type": "session_started", "session_id": "s"})
        speech = Loudness(16_000)
        async for message in socket:
            asked = json.loads(message.data)
            if unknown := set(asked) - SCRIBE_FIELDS:
                self._server.refused.append(f"unknown fields {sorted(unknown)}")
                await socket.send_json({"message_type": "input_error", "error": "unknown"})
                break
            if speech.take(base64.b64decode(asked["audio_base_64"])) == "ended":
                for kind in ("partial_transcript", "committed_transcript"):
                    await socket.send_json({"message_type": kind, "text": self._server.transcript})
        return socket

    # ── Cartesia ──
    async def ink(self, request: web.Request) -> web.StreamResponse:
        key = request.headers.get("X-API-Key") or request.headers.get("Authorization", "")
        if KEY not in key:
            return self._refuse(401, "invalid API key")
        query = request.query
        if set(query) - INK_QUERY or query["encoding"] != "pcm_s16le":
            return self._refuse(400, f"unknown parameters {sorted(set(query) - INK_QUERY)}")
        self._server.listens.append(dict(query))
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        speech = Loudness(int(query["sample_rate"]))
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                if message.data not in ("finalize", "close"):
                    self._server.refused.append(f"unknown command {message.data}")
                await socket.send_json({"type": {"finalize": "flush_done"}.get(message.data, "done")})
                continue
            if speech.take(message.data) == "ended":
                heard = {"type": "transcript", "request_id": "r", "text": self._server.transcript}
                await socket.send_json({**heard, "is_final": True, "duration": 1.0, "words": []})
        return socket

    async def cartesia(self, request: web.Request) -> web.StreamResponse:
        key = request.headers.get("X-API-Key") or request.headers.get("x-api-key")
        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if KEY not in (key, bearer) or "cartesia_version" not in request.query:
            return self._refuse(401, "invalid API key")
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        text = ""
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                break
            asked = json.loads(message.data)
            if unknown := set(asked) - CARTESIA_FIELDS:
                self._server.refused.append(f"unknown fields {sorted(unknown)}")
                await socket.send_json({"type": "error", "message": "bad request", "status_code": 400})
                continue
            text += asked["transcript"]
            if asked["continue"]:
                continue
            self._server.speaks.append(asked)
            self._server.speeches.append({"input": text.strip()})
            done = {"context_id": asked["context_id"], "status_code": 200}
            await socket.send_json(
                {**done, "type": "chunk", "done": False, "data": base64.b64encode(tone(text)).decode()}
            )
            await socket.send_json({**done, "type": "done", "done": True})
            text = ""
        return socket
