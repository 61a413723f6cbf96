"""A reranking server as vLLM and Jina have it, in a thread: relevance is how many words two texts share."""

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from kb.calibration import ANCHORS

KEY = "rk-right"


@dataclass
class RerankingServer:
    """`favourite` is a text that it thinks answers everything; its scale is from -8 to 8."""

    url: str = ""
    favourite: str = ""
    wait_seconds: float = 0.0
    asked: list[dict[str, Any]] = field(default_factory=list)

    def answer(self, path: str, key: str | None, body: Any) -> tuple[int, dict[str, Any]]:
        """Status and body, best first."""
        if path != "/v1/rerank" or key != f"Bearer {KEY}":
            return 401, {"error": "no"}
        self.asked.append(body)
        time.sleep(self.wait_seconds)
        results = [
            {"index": number, "relevance_score": self._relevance(body["query"], text)}
            for number, text in enumerate(body["documents"])
        ]
        results.sort(key=lambda each: -each["relevance_score"])
        return 200, {"model": body["model"], "results": results[: body["top_n"]]}

    def _relevance(self, question: str, text: str) -> float:
        if (self.favourite and self.favourite in text) or (question, text) in ANCHORS:
            return 8.0
        shared = set(re.findall(r"\w+", question.lower())) & set(re.findall(r"\w+", text.lower()))
        return min(4.0, -8.0 + 2.0 * len(shared))


@contextmanager
def reranking_server() -> Iterator[RerankingServer]:
    """One that runs until the block ends."""
    state = RerankingServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["Content-Length"]))
            status, body = state.answer(self.path, self.headers.get("Authorization"), json.loads(raw))
            said = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
