"""A dialog engine of the owner's own, asked over a WebSocket; the protocol is in docs/custom-llm.md."""

import asyncio
import itertools
import json
import logging
from collections.abc import Mapping
from typing import Any

import aiohttp
from livekit.agents import APIConnectionError, APIConnectOptions, APIError, llm, utils
from livekit.agents.llm.utils import build_legacy_openai_schema
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, NOT_GIVEN, NotGivenOr
from yarl import URL

from pipelines.outbound import Guard

logger = logging.getLogger(__name__)

PROTOCOL = 1
MAX_FRAME_BYTES = 64 * 1024
MAX_WAITING = 1000
"""Frames of one answer that nobody has read yet."""
MAX_ANSWER_CHARACTERS = 20_000
HEARTBEAT_SECONDS = 20.0
CONNECT_SECONDS = 5.0
SILENCE_SECONDS = 30.0
"""An engine that says nothing for so long will say nothing more."""


class CustomLLM(llm.LLM[Any]):
    """One connection for the whole call, opened when it is first needed and again when it was lost.

    `url` is reached through the guard alone: it is whatever somebody typed into a field. `about` is what
    the engine is told of the call when the connection opens.
    """

    def __init__(self, url: str, guard: Guard, about: Mapping[str, Any]) -> None:
        super().__init__()
        self._url, self._guard, self._about = url, guard, about
        self._http: aiohttp.ClientSession | None = None
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._reading: asyncio.Task[None] | None = None
        self._connecting = asyncio.Lock()
        self._ids = itertools.count(1)
        self._waiting: dict[str, asyncio.Queue[dict[str, Any] | None]] = {}

    @property
    def model(self) -> str:
        """The host that answers, for the record."""
        return URL(self._url).host or "unknown"

    @property
    def provider(self) -> str:
        """The name on an agent."""
        return "custom-llm"

    def chat(
        self,
        *,
        chat_ctx: llm.ChatContext,
        tools: list[llm.Tool] | None = None,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
        parallel_tool_calls: NotGivenOr[bool] = NOT_GIVEN,
        tool_choice: NotGivenOr[llm.ToolChoice] = NOT_GIVEN,
        extra_kwargs: NotGivenOr[dict[str, Any]] = NOT_GIVEN,
    ) -> llm.LLMStream:
        """One answer."""
        return _Answer(self, chat_ctx=chat_ctx, tools=tools or [], conn_options=conn_options)

    async def prepare(self, *_told: Any) -> None:
        """Open the connection while the agent greets."""
        await self.connected()

    async def connected(self) -> aiohttp.ClientWebSocketResponse:
        """The open connection. Raises `APIConnectionError`."""
        async with self._connecting:
            if self._socket is not None and not self._socket.closed:
                return self._socket
            await self._disconnect()
            self._http = self._guard.session()
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    self._socket = await self._http.ws_connect(
                        self._url, heartbeat=HEARTBEAT_SECONDS, max_msg_size=MAX_FRAME_BYTES
                    )
                    await self._socket.send_json({"type": "start", "protocol": PROTOCOL, **self._about})
            except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
                raise APIConnectionError("the dialog engine cannot be reached") from error
            self._reading = asyncio.create_task(self._read(self._socket), name="custom-llm")
            return self._socket

    async def ask(self, request: Mapping[str, Any]) -> tuple[str, asyncio.Queue[dict[str, Any] | None]]:
        """Send a request; its frames come into the queue, None when the connection is gone."""
        socket = await self.connected()
        request_id = f"r{next(self._ids)}"
        queue: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue(MAX_WAITING)
        self._waiting[request_id] = queue
        try:
            await socket.send_json({"type": "request", "id": request_id, **request})
        except (ConnectionError, RuntimeError) as error:
            self._waiting.pop(request_id, None)
            raise APIConnectionError("the dialog engine hung up") from error
        return request_id, queue

    async def forget(self, request_id: str, *, is_over: bool) -> None:
        """Nobody waits for this answer any more; the engine is told so unless it has finished."""
        self._waiting.pop(request_id, None)
        if not is_over and self._socket is not None and not self._socket.closed:
            try:
                await self._socket.send_json({"type": "cancel", "id": request_id})
            except (ConnectionError, RuntimeError):
                logger.debug("a dialog engine was not told of a cancelled request")

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        try:
            async for message in socket:
                if (frame := _frame(message)) is None:
                    break  # it does not speak our protocol, and is not listened to
                queue = self._waiting.get(str(frame.get("id")))
                if queue is not None and queue.full():
                    break
                if queue is not None:
                    queue.put_nowait(frame)
        finally:
            for queue in self._waiting.values():
                if queue.full():
                    queue.get_nowait()
                queue.put_nowait(None)
            self._waiting.clear()
            await socket.close()

    async def _disconnect(self) -> None:
        if self._reading is not None:
            await utils.aio.cancel_and_wait(self._reading)
        if self._socket is not None:
            await self._socket.close()
        if self._http is not None:
            await self._http.close()
        self._reading = self._socket = self._http = None

    async def aclose(self) -> None:
        """Hang up."""
        await self._disconnect()


class _Answer(llm.LLMStream):
    async def _run(self) -> None:
        engine = self._llm
        assert isinstance(engine, CustomLLM)  # noqa: S101 - it made this stream
        request_id, frames = await engine.ask(
            {"messages": _messages(self._chat_ctx), "tools": _functions(self._tools)}
        )
        is_over, characters = False, 0
        try:
            while not is_over:
                async with asyncio.timeout(SILENCE_SECONDS):
                    frame = await frames.get()
                if frame is None:
                    raise APIConnectionError("the dialog engine hung up")
                is_over = frame.get("type") in ("done", "error")
                characters += self._take(request_id, frame)
                if characters > MAX_ANSWER_CHARACTERS:
                    raise APIError("the dialog engine does not come to an end", retryable=False)
        except TimeoutError as error:
            raise APIConnectionError("the dialog engine is silent") from error
        finally:
            await engine.forget(request_id, is_over=is_over)

    def _take(self, request_id: str, frame: Mapping[str, Any]) -> int:
        match frame:
            case {"type": "text", "text": str(text)}:
                delta = llm.ChoiceDelta(role="assistant", content=text)
                self._event_ch.send_nowait(llm.ChatChunk(id=request_id, delta=delta))
                return len(text)
            case {"type": "call", "name": str(name), "arguments": dict(arguments)}:
                call = llm.FunctionToolCall(
                    name=name,
                    arguments=json.dumps(arguments),
                    call_id=str(frame.get("call_id") or utils.shortuuid("call_")),
                )
                delta = llm.ChoiceDelta(role="assistant", tool_calls=[call])
                self._event_ch.send_nowait(llm.ChatChunk(id=request_id, delta=delta))
                return len(call.arguments)
            case {"type": "done"}:
                return 0
            case {"type": "error"}:
                raise APIError("the dialog engine gave up", retryable=False)
            case _:
                raise APIError("the dialog engine does not speak the protocol", retryable=False)


def _frame(message: aiohttp.WSMessage) -> dict[str, Any] | None:
    if message.type is not aiohttp.WSMsgType.TEXT:
        return None
    try:
        frame = json.loads(message.data)
    except ValueError:
        return None
    return frame if isinstance(frame, dict) else None


def _messages(context: llm.ChatContext) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    for item in context.items:
        if isinstance(item, llm.ChatMessage):
            messages.append({"role": item.role, "content": item.text_content or ""})
        elif isinstance(item, llm.FunctionCall):
            call = {"call_id": item.call_id, "name": item.name, "arguments": _arguments(item.arguments)}
            messages.append({"role": "call", **call})
        elif isinstance(item, llm.FunctionCallOutput):
            result = {"call_id": item.call_id, "content": item.output, "is_error": item.is_error}
            messages.append({"role": "result", **result})
    return messages


def _arguments(raw: str) -> Any:
    try:
        return json.loads(raw or "{}")
    except ValueError:
        return {}


def _functions(tools: list[llm.Tool]) -> list[dict[str, Any]]:
    described: list[dict[str, Any]] = []
    for tool in tools:
        if isinstance(tool, llm.RawFunctionTool):
            described.append(dict(tool.info.raw_schema))
        elif isinstance(tool, llm.FunctionTool):
            described.append(build_legacy_openai_schema(tool)["function"])
    return described
