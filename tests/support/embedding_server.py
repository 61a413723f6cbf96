"""An embedding server that speaks OpenAI's protocol and refuses what OpenAI refuses, in a thread."""

import json
import re
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "sk-right"
MODELS = ("small", "large")
_FIELDS = {"model", "input", "encoding_format", "dimensions", "user"}
_DIMENSIONS = {"small": 64, "large": 128}


@dataclass
class EmbeddingServer:
    """A text's vector counts its words, each in a place of its own; `texts` are those that were embedded."""

    url: str = ""
    texts: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def answer(self, path: str, key: str | None, body: Any) -> tuple[int, dict[str, Any]]:
        """Status and body, as OpenAI has them."""
        status, why = self._why_not(path, key, body)
        if why:
            self.refused.append(why)
            return status, {"error": {"message": why, "type": "invalid_request_error", "code": None}}
        self.texts += body["input"]
        rows = [_vector(text, _DIMENSIONS[body["model"]]) for text in body["input"]]
        data = [{"object": "embedding", "index": n, "embedding": row} for n, row in enumerate(rows)]
        return 200, {"object": "list", "data": data, "model": body["model"], "usage": {"total_tokens": 1}}

    def _why_not(self, path: str, key: str | None, body: Any) -> tuple[int, str]:
        if path != "/v1/embeddings":
            return 404, f"Invalid URL (POST {path})"
        if key != f"Bearer {KEY}":
            return 401, f"Incorrect API key provided: {key}"
        if body.get("model") not in MODELS:
            return 404, f"The model `{body.get('model')}` does not exist"
        texts = body.get("input")
        refusals = {
            "Unrecognized request argument supplied": bool(body.keys() - _FIELDS),
            "'$.input' must be a list of 1 to 2048 texts": not isinstance(texts, list)
            or not 1 <= len(texts) <= 2048
            or not all(isinstance(text, str) and text for text in texts),
            "This model's maximum context length is 8192 tokens": len(max(texts or [""], key=len)) > 8192 * 4,
            "Invalid value for encoding_format": body.get("encoding_format", "float") != "float",
        }
        return 400, next((why for why, holds in refusals.items() if holds), "")


def _vector(text: str, dimensions: int) -> list[float]:
    row = [0.01] * dimensions
    for word in re.findall(r"\w+", text.lower()):
        row[zlib.crc32(word.encode()) % dimensions] += 1.0
    return row


@contextmanager
def embedding_server() -> Iterator[EmbeddingServer]:
    """One that runs until the block ends."""
    state = EmbeddingServer()

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
