"""A server that reads calls as OpenAI's chat completions would, and refuses what OpenAI refuses."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

KEY = "analyst-key"
_FIELDS = {"model", "messages", "response_format", "max_completion_tokens", "temperature"}

GOOD: dict[str, Any] = {
    "summary": "The caller booked a table for four.",
    "successful": True,
    "sentiment": "positive",
    "fields": {"guests": "4", "wants_callback": "no", "occasion": "birthday", "budget": "much"},
}


@dataclass
class AnalystServer:
    """What it answers, and what it was asked. Each entry of `failures` spoils one answer, in order."""

    url: str
    answer: Any = field(default_factory=lambda: GOOD)
    failures: list[str] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/chat/completions."""
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return web.json_response({"error": {"message": "Incorrect API key provided"}}, status=401)
        body: dict[str, Any] = await request.json()
        words = " ".join(message["content"] for message in body["messages"])
        if set(body) - _FIELDS or ("JSON" not in words and "json" not in words):
            return web.json_response({"error": {"message": "Unrecognized request argument"}}, status=400)
        self.asked.append(body)
        match self.failures.pop(0) if self.failures else "":
            case "429":
                return web.json_response({"error": {"message": "Rate limit reached"}}, status=429)
            case "garbage":
                return web.Response(text="<html>", content_type="application/json")
            case "cut":
                assert request.transport is not None
                request.transport.abort()
            case "huge":
                return web.Response(body=b'{"choices": "' + b"x" * 1_000_000)
            case "slow":
                await asyncio.sleep(30)
        message = {"role": "assistant", "content": json.dumps(self.answer)}
        usage = {"prompt_tokens": 321, "completion_tokens": 45, "total_tokens": 366}
        return web.json_response({"choices": [{"index": 0, "message": message}], "usage": usage})


@contextlib.asynccontextmanager
async def analyst_server(port: int) -> AsyncIterator[AnalystServer]:
    """Serve on loopback until the block ends."""
    server = AnalystServer(f"http://127.0.0.1:{port}/v1")
    app = web.Application()
    app.router.add_post("/v1/chat/completions", server.chat)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield server
    finally:
        await runner.cleanup()
