"""Listening (nova, flux) and speaking (Aura), as Deepgram speaks them."""

import json
from typing import Any

import numpy as np
from aiohttp import WSMessage, WSMsgType, web

from tests.support.wire import faults
from tests.support.wire.openai import tone
from tests.support.wire.server import KEY, ProviderServer

LISTEN_FIELDS = {
    *("model", "language", "punctuate", "smart_format", "no_delay", "interim_results", "encoding"),
    *("sample_rate", "channels", "endpointing", "filler_words", "vad_events", "profanity_filter", "numerals"),
    *("mip_opt_out", "keyterm", "tag", "redact", "diarize", "dictation"),
}
FLUX_FIELDS = {
    *("model", "sample_rate", "encoding", "mip_opt_out", "eager_eot_threshold", "eot_threshold"),
    *("eot_timeout_ms", "keyterm", "tag", "language_hint"),
}
SPEAK_FIELDS = {"encoding", "model", "sample_rate", "mip_opt_out", "speed", "container"}
LOUD = 500
MAX_KEY_TERMS = 100


class DeepgramWire:
    """Handlers over one `ProviderServer`. Speech ends where it has been quiet for a fifth of a second."""

    def __init__(self, server: ProviderServer) -> None:
        self._server = server

    def add_to(self, app: web.Application) -> None:
        app.router.add_get("/v1/listen", self.listen)
        app.router.add_post("/v1/listen", self.listen_once)
        app.router.add_get("/v2/listen", self.flux)
        app.router.add_get("/v1/speak", self.speak)
        app.router.add_post("/v1/speak", self.speak_once)

    def _barred(
        self, request: web.Request, fault: faults.Fault, known: set[str], models: tuple[str, ...]
    ) -> web.Response | None:
        if request.headers.get("Authorization") != f"Token {KEY}":
            return self._refuse(401, "INVALID_AUTH")
        if (refused := faults.status(fault)) is not None:
            return self._refuse(refused, "not now")
        wrong = _wrong(request, known, models)
        return self._refuse(400, wrong) if wrong else None

    def _refuse(self, status: int, message: str) -> web.Response:
        return self._server.refuse(status, {"err_code": message, "err_msg": message}, message)

    # ── nova ──
    async def listen(self, request: web.Request) -> web.StreamResponse:
        fault = self._server.faults.get("listen", "")
        if barred := self._barred(request, fault, LISTEN_FIELDS, ("nova",)):
            return barred
        return await self._hear(request, fault, _Nova(self._server))

    async def listen_once(self, request: web.Request) -> web.StreamResponse:
        if barred := self._barred(request, "", LISTEN_FIELDS, ("nova",)):
            return barred
        if len(await request.read()) % 2:
            return self._refuse(400, "Bad Request: failed to process audio")
        best = {"transcript": self._server.transcript, "confidence": 0.97, "words": []}
        return web.json_response({"results": {"channels": [{"alternatives": [best]}]}})

    async def flux(self, request: web.Request) -> web.StreamResponse:
        fault = self._server.faults.get("listen", "")
        if barred := self._barred(request, fault, FLUX_FIELDS, ("flux-general-",)):
            return barred
        if not 0.5 <= float(request.query.get("eot_threshold", 0.7)) <= 0.9:
            return self._refuse(400, "eot_threshold out of range")
        return await self._hear(request, fault, _Flux(self._server))

    async def _hear(self, request: web.Request, fault: faults.Fault, ears: Any) -> web.StreamResponse:
        query = {key: request.query.getall(key) for key in request.query}
        self._server.listens.append({k: v if k == "keyterm" else v[0] for k, v in query.items()})
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        speech = Loudness(int(request.query["sample_rate"]))
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                if self._is_over(message):
                    break
                continue
            step = speech.take(message.data)
            if step == "began":
                for event in ears.began():
                    await socket.send_json(event)
            if step != "ended":
                continue
            if fault == "garbage":
                await socket.send_str(faults.GARBAGE)
                continue
            try:
                async for event in faults.pieces(fault, ears.ended()):
                    await socket.send_json(event)
            except faults.Cut:
                faults.hang_up(request)
                return socket
        await socket.close()
        return socket

    def _is_over(self, message: WSMessage) -> bool:
        kind = json.loads(message.data)["type"]
        if kind not in ("KeepAlive", "Finalize", "CloseStream", "Configure"):
            self._server.refused.append(f"unknown message {kind}")
        return bool(kind == "CloseStream")

    # ── Aura ──
    async def speak(self, request: web.Request) -> web.StreamResponse:
        fault = self._server.faults.get("speak", "")
        if barred := self._barred(request, fault, SPEAK_FIELDS, ("aura-",)):
            return barred
        self._server.speaks.append(dict(request.query))
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        text = ""
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                self._server.refused.append("only text")
                break
            asked = json.loads(message.data)
            if asked["type"] == "Speak":
                text += asked["text"]
            elif asked["type"] == "Flush":
                fault = self._server.faults.get("speak", "")
                if fault == "garbage":
                    await socket.send_str(faults.GARBAGE)
                    continue
                try:
                    await self._sound(socket, fault, text)
                except faults.Cut:
                    faults.hang_up(request)
                    return socket
                text = ""
            elif asked["type"] == "Close":
                break
            else:
                self._server.refused.append(f"unknown message {asked['type']}")
        await socket.close()
        return socket

    async def _sound(self, socket: web.WebSocketResponse, fault: faults.Fault, text: str) -> None:
        if not text:
            await socket.send_json({"type": "Flushed", "sequence_id": 0})
            return
        pcm = tone(text)
        chunks = [pcm[start : start + 4800] for start in range(0, len(pcm), 4800)]
        self._server.speeches.append({"input": text})
        async for chunk in faults.pieces(fault, chunks):
            await socket.send_bytes(chunk)
        await socket.send_json({"type": "Flushed", "sequence_id": 0})

    async def speak_once(self, request: web.Request) -> web.StreamResponse:
        query = dict(request.query)
        if query.get("encoding") == "mp3":
            query = {**query, "encoding": "linear16", "sample_rate": "24000"}
        elif barred := self._barred(request, "", SPEAK_FIELDS, ("aura-",)):
            return barred
        body = await request.json()
        if set(body) != {"text"}:
            return self._refuse(400, "only text")
        self._server.speaks.append(query | body)
        return web.Response(body=tone(body["text"]), content_type="audio/l16")


def _wrong(request: web.Request, known: set[str], models: tuple[str, ...]) -> str:
    query = request.query
    if unknown := set(query) - known:
        return f"unknown parameters {sorted(unknown)}"
    if not query["model"].startswith(models):
        return f"No such model {query['model']}"
    if query.get("encoding", "linear16") != "linear16" or query["sample_rate"] not in ("16000", "24000"):
        return "no such encoding"
    return "Keyterm limit exceeded" if len(query.getall("keyterm", [])) > MAX_KEY_TERMS else ""


class Loudness:
    """Where somebody speaks in PCM of one rate: "began", "ended", or nothing new."""

    def __init__(self, rate: int) -> None:
        self._second = rate * 2
        self._quiet_bytes, self._is_loud = 0, False

    def take(self, pcm: bytes) -> str:
        loud = np.abs(np.frombuffer(pcm, np.int16).astype(int)).max(initial=0) > LOUD
        self._quiet_bytes = 0 if loud else self._quiet_bytes + len(pcm)
        if loud and not self._is_loud:
            self._is_loud = True
            return "began"
        if self._is_loud and self._quiet_bytes > self._second // 5:
            self._is_loud = False
            return "ended"
        return ""


class _Nova:
    def __init__(self, server: ProviderServer) -> None:
        self._server = server

    def began(self) -> list[dict[str, Any]]:
        return [{"type": "SpeechStarted", "timestamp": 0.0, "channel": [0]}]

    def ended(self) -> list[dict[str, Any]]:
        return [self._results(is_final=False), self._results(is_final=True)]

    def _results(self, *, is_final: bool) -> dict[str, Any]:
        words = _words(self._server.transcript)
        best = {"transcript": self._server.transcript, "confidence": 0.99, "words": words}
        return {
            "type": "Results",
            "is_final": is_final,
            "speech_final": is_final,
            "start": 0.0,
            "duration": 1.0,
            "channel": {"alternatives": [best]},
            "metadata": {"request_id": "r"},
        }


class _Flux:
    def __init__(self, server: ProviderServer) -> None:
        self._server = server

    def began(self) -> list[dict[str, Any]]:
        first = self._server.transcript.split()[0]
        return [self._turn("StartOfTurn", first)]

    def ended(self) -> list[dict[str, Any]]:
        return [self._turn(event, self._server.transcript) for event in ("Update", "EndOfTurn")]

    def _turn(self, event: str, transcript: str) -> dict[str, Any]:
        return {
            "type": "TurnInfo",
            "request_id": "r",
            "event": event,
            "turn_index": 0,
            "audio_window_start": 0.0,
            "audio_window_end": 1.0,
            "transcript": transcript,
            "words": _words(transcript),
            "end_of_turn_confidence": 0.8,
        }


def _words(transcript: str) -> list[dict[str, Any]]:
    return [
        {"word": word, "start": 0.1 * i, "end": 0.1 * i + 0.1, "confidence": 0.99}
        for i, word in enumerate(transcript.split())
    ]
