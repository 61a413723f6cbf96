"""A call whose process is killed while a function runs: the talk goes on, and nothing is run twice."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from bench.parts.caller import Caller
from tests.support.speech import spoken
from tests.support.stack import Stack, process_of, running

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(400),
    # LiveKit's SDK drops handles of a participant twice that was put out of the room.
    pytest.mark.filterwarnings("ignore:.*FfiHandle:pytest.PytestUnraisableExceptionWarning"),
]

ASKS = "Please ring the doorbell of the house."
WHAT_IT_DOES = "Ring the doorbell of the house."
AGAIN = "What are your opening hours?"
RUNS_SECONDS = 6
FUNCTION = f'''
import asyncio
from pathlib import Path
from livekit.agents import function_tool

@function_tool
async def ring_doorbell() -> str:
    """{WHAT_IT_DOES}"""
    with Path("{{rung}}").open("a") as file:
        file.write("rung\\n")
    await asyncio.sleep({RUNS_SECONDS})
    return "The doorbell rang."
'''


class _Door:
    """An address that rings, takes its time, and counts."""

    def __init__(self) -> None:
        self.rung: list[str] = []
        door = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                door.rung.append(self.headers["Idempotency-Key"])
                time.sleep(RUNS_SECONDS)
                with contextlib.suppress(OSError):
                    self.send_response(200)
                    self.end_headers()
                    self.wfile.write(b'{"result": "The doorbell rang."}')

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its parent's word
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/ring"

    @contextlib.contextmanager
    def open(self) -> Iterator["_Door"]:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        yield self
        self._server.shutdown()
        self._server.server_close()


async def test_a_function_that_was_under_way_is_never_run_twice(tmp_path: Path) -> None:
    home = tmp_path / "home"
    rung = tmp_path / "rung"
    (home / "functions").mkdir(parents=True)
    (home / "functions" / "doorbell.py").write_text(FUNCTION.format(rung=rung))
    developers = {"type": "python", "name": "ring_doorbell"}
    with _Door().open() as door:
        webhook = {
            "name": "ring_the_doorbell",
            "description": WHAT_IT_DOES,
            "url": door.url,
            "parameters": {"type": "object", "properties": {}},
            "timeout_ms": 10_000,
        }
        async with running(home, CALL2ME_ALLOW_HOSTS="127.0.0.1") as stack:
            await _killed_while(
                stack, developers, lambda: rung.read_text().splitlines() if rung.exists() else []
            )
            await _killed_while(stack, webhook, lambda: door.rung)


async def _killed_while(stack: Stack, function: dict[str, Any], runs: Any) -> None:
    engine = {
        "type": "call2me-llm",
        "system_prompt": "We are open from nine to five.",
        "functions": [function],
    }
    agent = {"agent_name": "Door", "voice_id": "call2me-anna", "language": "en-US", "response_engine": engine}
    made = await stack.post(
        "/v1/agents", {**agent, "begin_message": "Hello.", "begin_message_mode": "static"}
    )
    ticket = await stack.post("/v1/livekit/token", {"agent_id": made["agent_id"]})
    async with Caller.joined(ticket["url"], ticket["token"]) as caller:
        await caller.hear(after=0)
        await caller.quiet(seconds=1)
        ended = await caller.say(spoken(ASKS))
        await caller.hear(after=ended)  # "Shall I …?"
        await caller.quiet(seconds=1)
        await caller.say(spoken("Yes, please."))
        async with asyncio.timeout(15):
            while not runs():
                await asyncio.sleep(0.02)
        (await process_of(ticket["call_id"])).kill()
        killed = time.perf_counter()
        heard = await caller.hear(after=killed + 0.5, timeout=30)
        print(f"{function['name']}: killed, heard again after {heard - killed:.2f} s")  # noqa: T201 - for docs
        await caller.quiet(seconds=1)
        ended = await caller.say(spoken(AGAIN))
        await caller.hear(after=ended)
        await caller.quiet(seconds=1)
        await asyncio.sleep(RUNS_SECONDS)  # what would run again has run by now
    call = await stack.ended(ticket["call_id"], timeout=20)
    assert len(runs()) == 1, runs()
    assert (call["call_status"], call["attempt"]) == ("completed", 2), call
    assert [(ran["name"], ran["error"]) for ran in call["functions"]] == [(function["name"], "interrupted")]
    assert "nine" in call["transcript_object"][-1]["text"] or "9" in call["transcript_object"][-1]["text"]
