"""A receiver of Call2Me's webhooks: checks the signature, takes each event once, answers at once.

    CALL2ME_WEBHOOK_SECRET=... python webhook_receiver.py 9000

Needs nothing but Python. Put your work into `handle`; what takes longer belongs in a queue of yours,
since we wait ten seconds for an answer.
"""

import hashlib
import hmac
import json
import os
import sys
import time
from collections import OrderedDict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SECRET = os.environ["CALL2ME_WEBHOOK_SECRET"].encode()
MAX_BYTES = 5_000_000
TOO_OLD_SECONDS = 300
_seen: OrderedDict[str, None] = OrderedDict()
"""The newest ids; keep them in your database to know them after a restart as well."""


def is_ours(body: bytes, signature: str) -> bool:
    """Whether somebody who knows the secret sent this very body."""
    expected = "sha256=" + hmac.new(SECRET, body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected, signature)


def is_new(event_id: str) -> bool:
    """False for an event that came before: one may arrive twice when a process dies at the wrong moment."""
    if event_id in _seen:
        return False
    _seen[event_id] = None
    if len(_seen) > 10_000:
        _seen.popitem(last=False)
    return True


def handle(event: dict[str, Any]) -> None:
    """Yours."""
    sys.stdout.write(f"{event['event']} {event.get('call_id') or ''}\n")
    sys.stdout.flush()


class Receiver(BaseHTTPRequestHandler):
    """Answers 204 to what is ours, 401 to what is not."""

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if not 0 < length <= MAX_BYTES:
            return self._answer(413)
        body = self.rfile.read(length)
        if not is_ours(body, self.headers.get("X-Call2Me-Signature", "")):
            return self._answer(401)
        if abs(time.time() - int(self.headers.get("webhook-timestamp", "0"))) > TOO_OLD_SECONDS:
            return self._answer(401)  # somebody sends again what was overheard
        if is_new(self.headers.get("webhook-id", "")):
            handle(json.loads(body))
        return self._answer(204)

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing: the path may hold a secret of yours."""


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 9000
    ThreadingHTTPServer(("127.0.0.1", port), Receiver).serve_forever()
