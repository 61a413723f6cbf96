"""A stand-in for Google: publishes keys, and signs ID tokens with them."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

CLIENT_ID = "ours.apps.googleusercontent.com"


@dataclass
class Google:
    """Its keys by their ids. `asked` counts how often they were fetched."""

    url: str = ""
    keys: dict[str, rsa.RSAPrivateKey] = field(default_factory=dict)
    asked: int = 0
    is_down: bool = False

    def new_key(self, key_id: str) -> None:
        """One more key is published."""
        self.keys[key_id] = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def token(self, *, key_id: str = "one", signed_by: rsa.RSAPrivateKey | None = None, **claims: Any) -> str:
        """An ID token, good unless the claims say otherwise."""
        said = {
            "iss": "https://accounts.google.com",
            "aud": CLIENT_ID,
            "sub": "1234567890",
            "email": "ada@gmail.example.com",
            "email_verified": True,
            "name": "Ada",
            "iat": int(time.time()),
            "exp": int(time.time()) + 3600,
            **claims,
        }
        return jwt.encode(
            {name: value for name, value in said.items() if value is not None},
            signed_by or self.keys[key_id],
            "RS256",
            headers={"kid": key_id},
        )

    def published(self) -> bytes:
        """The document of its keys."""
        keys = []
        for key_id, key in self.keys.items():
            described = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key()))
            keys.append({**described, "kid": key_id, "use": "sig", "alg": "RS256"})
        return json.dumps({"keys": keys}).encode()


@contextmanager
def google() -> Iterator[Google]:
    """One with a key, on a port of its own."""
    stand_in = Google()
    stand_in.new_key("one")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            stand_in.asked += 1
            body = b"" if stand_in.is_down else stand_in.published()
            self.send_response(503 if stand_in.is_down else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    stand_in.url = f"http://127.0.0.1:{server.server_port}/certs"
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield stand_in
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
