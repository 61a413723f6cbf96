"""A worker that we own: it says what a test tells it to, over the real wire."""

import asyncio
import json
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp

from tests.support.api import Api, Reply

START = datetime(2026, 1, 5, 10, 0, 0, tzinfo=UTC)

AVAILABLE: list[dict[str, Any]] = [
    {"kind": "stt", "provider": "whisper", "is_available": True},
    {"kind": "llm", "provider": "scripted", "is_available": True, "languages": ["en", "tr"]},
    {"kind": "llm", "provider": "openai", "is_available": False, "hint": "Set OPENAI_API_KEY."},
    {"kind": "tts", "provider": "hibari", "is_available": True, "languages": ["en"]},
    {"kind": "tts", "provider": "espeak", "is_available": False, "hint": "Install espeak-ng."},
]


class RehearsedWorker:
    """Connected from `with` on; sends a status four times a second, as the real one does each second."""

    def __init__(
        self,
        api: Api,
        worker_id: str = "worker-1",
        available: Sequence[dict[str, Any]] = AVAILABLE,
        functions: Sequence[dict[str, Any]] | None = None,
        tries: Callable[[dict[str, Any]], dict[str, Any] | None] = lambda order: None,
    ) -> None:
        """`tries` answers the functions that it is ordered to try; None is no answer."""
        self.worker_id = worker_id
        self.status: dict[str, Any] = {"is_ready": True, "call_ids": []}
        self.orders: list[dict[str, Any]] = []
        self.obeys: Callable[[dict[str, Any]], dict[str, Any] | None] = lambda order: None
        """Answers orders to calls; None is no answer."""
        self._api = api
        self._available = list(available)
        self._functions = functions
        self._tries = tries
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._connected = threading.Event()
        self._leave: asyncio.Event | None = None
        self._says_goodbye = True

    def __enter__(self) -> "RehearsedWorker":
        self._thread.start()
        assert self._connected.wait(10), "the api took no worker"
        return self

    def __exit__(self, *_: object) -> None:
        self._part(says_goodbye=True)

    def vanish(self) -> None:
        """Break the connection without a word."""
        self._part(says_goodbye=False)

    def _part(self, *, says_goodbye: bool) -> None:
        if self._thread.is_alive():
            self._says_goodbye = says_goodbye
            assert self._leave is not None
            self._loop.call_soon_threadsafe(self._leave.set)
            self._thread.join(10)

    # ── what a worker asks and tells over HTTP ───────────────────────────────────────────────────
    def brief(self, call_id: str, job_id: str = "job-1", attempt: int = 0) -> Reply:
        """Ask whom a call is for."""
        body = {"worker_id": self.worker_id, "job_id": job_id, "attempt": attempt}
        return self._internal("POST", f"/internal/calls/{call_id}/brief", body)

    def tell(self, *events: dict[str, Any]) -> Reply:
        """Deliver events."""
        return self._internal(
            "POST", "/internal/events", {"worker_id": self.worker_id, "events": list(events)}
        )

    def overhears(self, call_id: str, job_id: str) -> Reply:
        """Ask what is kept of two who were put through."""
        body = {"worker_id": self.worker_id, "job_id": job_id}
        return self._internal("POST", f"/internal/calls/{call_id}/overheard", body)

    def upload(self, call_id: str, recording: bytes, duration_ms: int = 1500, attempt: int = 1) -> Reply:
        """Deliver a sealed recording."""
        headers = {"Content-Type": "audio/ogg", "X-Duration-Ms": str(duration_ms)}
        headers["X-Attempt"] = str(attempt)
        return self._internal("PUT", f"/internal/calls/{call_id}/recording", raw=recording, headers=headers)

    def _internal(self, method: str, path: str, body: Any = None, **options: Any) -> Reply:
        headers = {"X-Internal-Key": self._api.secrets["internal_key"], **options.pop("headers", {})}
        return self._api.ask(method, path, body, headers=headers, **options)

    # ── the WebSocket, in a thread of its own ────────────────────────────────────────────────────
    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._stay())
        finally:
            self._loop.close()

    async def _stay(self) -> None:
        """The api lets one go that was silent for too long, as on a busy machine: it comes back."""
        self._leave = asyncio.Event()
        while not self._leave.is_set():
            try:
                await self._speak(self._leave)
            except aiohttp.ClientConnectionResetError:
                continue
            except aiohttp.ClientError:
                if not self._connected.is_set():
                    raise
                return  # the api itself is gone

    async def _speak(self, leave: asyncio.Event) -> None:
        headers = {"X-Internal-Key": self._api.secrets["internal_key"]}
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"{self._api.url}/internal/worker", headers=headers) as socket,
        ):
            hello = {
                "kind": "hello",
                "worker_id": self.worker_id,
                "version": "1",
                "available": self._available,
                "functions": self._functions,
            }
            await socket.send_str(json.dumps(hello))
            listening = asyncio.ensure_future(self._listen(socket))
            try:
                while not leave.is_set():
                    await socket.send_str(json.dumps({"kind": "status", **self.status}))
                    self._connected.set()
                    try:
                        async with asyncio.timeout(0.25):
                            await leave.wait()
                    except TimeoutError:
                        continue
                if self._says_goodbye:
                    await socket.send_str(json.dumps({"kind": "goodbye"}))
                elif (transport := socket._response.connection) is not None:
                    transport.close()
            finally:
                listening.cancel()

    async def _listen(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for frame in socket:
            order = json.loads(frame.data)
            self.orders.append(order)
            if order["kind"] == "try_function" and (tried := self._tries(order)) is not None:
                told = {"kind": "function_tried", "order_id": order["order_id"], **tried}
                await socket.send_str(json.dumps(told))
            if order["kind"] in {"order", "dial", "withdraw"} and (obeyed := self.obeys(order)) is not None:
                obeyed = {"kind": "obeyed", "order_id": order["order_id"], **obeyed}
                await socket.send_str(json.dumps(obeyed))


class Script:
    """Events of one attempt, numbered as they are written. Seconds count from `START`."""

    def __init__(self, call_id: str, attempt: int = 1) -> None:
        self._call_id = call_id
        self._attempt = attempt
        self._next = (attempt - 1) * 1_000_000

    def _event(self, kind: str, seconds: float, **fields: Any) -> dict[str, Any]:
        self._next += 1
        return {
            "kind": kind,
            "call_id": self._call_id,
            "attempt": self._attempt,
            "sequence": self._next - 1,
            "at": moment(seconds),
            **fields,
        }

    def started(self, seconds: float = 0, worker_id: str = "worker-1") -> dict[str, Any]:
        """The session runs."""
        return self._event(
            "call_started", seconds, worker_id=worker_id, stt="whisper", llm="scripted", tts="hibari"
        )

    def said(self, role: str, text: str, start: float, end: float, **fields: Any) -> dict[str, Any]:
        """Somebody said something."""
        utterance = {
            "utterance_id": f"u{self._next}",
            "role": role,
            "text": text,
            "started_at": moment(start),
            "ended_at": moment(end),
            **fields,
        }
        return self._event("utterance", end, utterance=utterance)

    def turn(self, utterance_id: str, total_ms: float, seconds: float) -> dict[str, Any]:
        """Where an answer's time went."""
        return self._event(
            "turn", seconds, turn={"utterance_id": utterance_id, "latency": {"total_ms": total_ms}}
        )

    def called(
        self, name: str, seconds: float, arguments: dict[str, Any] | None = None, *, error: str | None = None
    ) -> dict[str, Any]:
        """A function ran, and worked unless there is an error."""
        return self._event(
            "function",
            seconds,
            name=name,
            arguments={"day": "Tuesday"} if arguments is None else arguments,
            result=None if error else "Booked.",
            error=error,
            started_at=moment(seconds),
            duration_ms=12.5,
        )

    def warned(self, code: str, seconds: float) -> dict[str, Any]:
        """Something is not as asked."""
        return self._event("warning", seconds, code=code, message="It is not here.")

    def ended(self, seconds: float, status: str = "completed", reason: str = "user_hangup") -> dict[str, Any]:
        """The worker's last word."""
        usage = {"tts_characters": 42, "stt_seconds": 3.5}
        return self._event("call_ended", seconds, status=status, reason=reason, usage=usage)

    def tried(self, seconds: float, outcome: str, **fields: Any) -> dict[str, Any]:
        """Somebody was to have the caller."""
        told = {"target": "Desk", "to": "+14155550177", "mode": "warm", "outcome": outcome, **fields}
        return self._event("transfer", seconds, **told)

    def steered(self, action: dict[str, Any], seconds: float) -> dict[str, Any]:
        """The call did as somebody outside told it."""
        return self._event("steered", seconds, action=action)

    def began(self, name: str, seconds: float) -> dict[str, Any]:
        """A function is about to run."""
        return self._event(
            "function_started", seconds, function_call_id=f"f{self._next}", name=name, arguments={}
        )

    def lost(self, seconds: float, **fields: Any) -> dict[str, Any]:
        """The process died."""
        return self._event("call_lost", seconds, reason="error: the process died", **fields)


def moment(seconds: float) -> str:
    """`START` and some seconds."""
    return (START + timedelta(seconds=seconds)).isoformat()
