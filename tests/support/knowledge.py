"""Knowledge bases over HTTP, as a client makes them: forms, and waiting until all is read."""

import json
import secrets
import time
from collections.abc import Sequence
from typing import Any

from tests.support.api import Person, Reply

_READ_SECONDS = 120


def form(
    files: Sequence[tuple[str, tuple[str, bytes]]], fields: dict[str, Any]
) -> tuple[bytes, dict[str, str]]:
    """A multipart body and its headers. Fields that are no text are written as JSON."""
    boundary = secrets.token_hex(16)
    parts = []
    for name, value in fields.items():
        text = value if isinstance(value, str) else json.dumps(value)
        parts.append(f'Content-Disposition: form-data; name="{name}"\r\n\r\n{text}'.encode())
    for name, (filename, content) in files:
        head = f'Content-Disposition: form-data; name="{name}"; filename="{filename}"\r\n\r\n'
        parts.append(head.encode() + content)
    body = b"".join(b"--" + boundary.encode() + b"\r\n" + part + b"\r\n" for part in parts)
    return (
        body + b"--" + boundary.encode() + b"--\r\n",
        {"Content-Type": f"multipart/form-data; boundary={boundary}"},
    )


def upload(person: Person, path: str, *files: tuple[str, bytes], **fields: Any) -> Reply:
    """Send files, each a name and its bytes."""
    raw, headers = form([("files", file) for file in files], fields)
    return person.ask("POST", path, raw=raw, headers=headers)


def uploaded(person: Person, files: dict[str, tuple[str, bytes]], name: str) -> dict[str, Any]:
    """A new base of these files, accepted and not yet read."""
    raw, headers = form(list(files.items()), {"knowledge_base_name": name, "embedder": "words"})
    reply = person.ask("POST", "/v1/knowledge-base/upload", raw=raw, headers=headers)
    assert reply.status == 201, reply.raw
    made: dict[str, Any] = reply.json
    return made


def read(person: Person, base: dict[str, Any] | str) -> dict[str, Any]:
    """The base once nothing of it is in progress any more."""
    base_id = base if isinstance(base, str) else base["knowledge_base_id"]
    deadline = time.monotonic() + _READ_SECONDS
    while True:
        reply = person.ask("GET", f"/v1/knowledge-base/{base_id}")
        assert reply.status == 200, reply.raw
        found: dict[str, Any] = reply.json
        if not found["status"].endswith("in_progress"):
            return found
        assert time.monotonic() < deadline, found["progress"]
        time.sleep(0.05)


def asked(person: Person, base: dict[str, Any] | str, query: str, **more: Any) -> dict[str, Any]:
    """What the base says to a question."""
    base_id = base if isinstance(base, str) else base["knowledge_base_id"]
    reply = person.ask("POST", f"/v1/knowledge-base/{base_id}/query", {"query": query, **more})
    assert reply.status == 200, reply.raw
    answer: dict[str, Any] = reply.json
    return answer
