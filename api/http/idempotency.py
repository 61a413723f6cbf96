"""`Idempotency-Key`: the same request sent twice is one request, whatever died in between.

claim (committed) ──► handler ──► its answer, in the handler's own transaction ──► sent
  ├─ answered ──► the same answer again        └─ an error: the key is free again
  └─ running  ──► wait for its answer

A process that dies before the answer's commit leaves nothing of a handler that commits once, so the
next request runs it. One that let go of its transaction on the way may have had an effect outside:
it is run again only where the route says that a second run goes on where the first stopped.
"""

import asyncio
import base64
import hashlib
import json
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from aiohttp import web
from pydantic import SecretStr
from sqlalchemy import delete, update
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.db.columns import now
from api.db.engine import Database, commit
from api.db.inserts import insert_new
from api.http.errors import ApiError, Conflict, Invalid, TooManyRequests, reply
from api.http.table import IdempotencyRow as Row
from api.http.upload_digests import WatchedBody
from api.keys import CALLER, CLAIM, CLAIMANT, DATABASE, SESSION

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
MAX_LENGTH = 255
KEPT = timedelta(hours=24)
LEASE = timedelta(minutes=5)
"""For a process of another machine, of which nobody here can say that it died."""
WAIT_SECONDS = 20.0
MAX_ANSWER_BYTES = 64 * 1024
MAX_UPLOAD_BYTES = 1100 * 1024 * 1024
"""Of an upload that is sent again: read, to be compared, and kept nowhere."""
MAX_KEYS = 10_000
"""Of one owner, in a day."""
_KEPT_HEADERS = ("Content-Type", "Location", "ETag", "Content-Disposition")
_STREAMED, _LARGE = "streamed", "large"


class StillRunning(Conflict):
    """A request with this Idempotency-Key is still running"""


class Interrupted(Conflict):
    """The request with this Idempotency-Key was interrupted; look whether it had its effect"""


class NotRepeatable(Conflict):
    """The request with this Idempotency-Key succeeded; its answer was a stream or too large to be kept"""


class TooManyKeys(TooManyRequests):
    """This account has used 10,000 Idempotency-Keys within a day"""


@dataclass
class Claimant:
    """This process, as others know it, and what it knows of others."""

    holder: str = field(default_factory=lambda: secrets.token_hex(8))
    is_gone: Callable[[str], bool] = lambda _holder: False
    """True for a holder that certainly runs no more."""


@dataclass(frozen=True)
class Claim:
    """The right to run a request."""

    scope: str
    key: str
    claim: str

    @property
    def stable_id(self) -> str:
        """The same for each run of the same key: names for what is made outside."""
        return hashlib.sha256(f"{self.scope}\n{self.key}".encode()).hexdigest()[:24]


@dataclass(frozen=True)
class _Asked:
    owner_id: str
    scope: str
    key: str
    fingerprint: str


async def once(
    request: web.Request,
    run: Callable[[], Awaitable[web.StreamResponse]],
    upload: WatchedBody | None,
    *,
    resumes: bool,
) -> web.StreamResponse:
    """Run a request unless its key has an answer. Raises `Invalid` where the key was another request's."""
    asked = await _asked(request)
    claim = Claim(asked.scope, asked.key, secrets.token_hex(12))
    if (kept := await _claimed(request, asked, claim, resumes=resumes)) is not None:
        return _replayed(kept, "" if upload is None else await upload.digest(MAX_UPLOAD_BYTES))
    request[CLAIM] = claim
    session = request[SESSION]
    try:
        response = await run()
        if response.status < 400:
            content = "" if upload is None else await upload.digest()
            await _keep(session, claim, _told(response, content))
        else:
            await _free(request, claim)
        return response
    except ApiError as error:
        if error.keeps_changes:
            await _keep(session, claim, _told(reply(error)))
        else:
            await _free(request, claim)
        raise
    except Exception:
        await _free(request, claim)
        raise


async def note_gone_out(request: web.Request) -> None:
    """Called before a handler lets go of its transaction: what follows is not undone by a rollback."""
    if (claim := request.get(CLAIM)) is not None:
        await request[SESSION].exec(
            update(Row)
            .where(col(Row.scope) == claim.scope, col(Row.key) == claim.key, col(Row.claim) == claim.claim)
            .values(has_gone_out=True)
        )


async def sweep(database: Database) -> None:
    """Forget what is older than a day."""
    async with database.transaction() as session:
        await session.exec(delete(Row).where(col(Row.created_at) < now() - KEPT))


async def _claimed(request: web.Request, asked: _Asked, claim: Claim, *, resumes: bool) -> str | None:
    """Claim the key; returns the answer that it has. Waits while somebody else runs it."""
    deadline = asyncio.get_running_loop().time() + WAIT_SECONDS
    delay = 0.05
    session = request[SESSION]
    while True:
        try:
            state = await _try(session, request.app[CLAIMANT], asked, claim, resumes=resumes)
            await commit(session)  # the claim stands, and nobody waits for our lock
        except BaseException:
            await session.rollback()
            raise
        if not isinstance(state, _Running):
            return state
        if asyncio.get_running_loop().time() > deadline:
            raise StillRunning(headers={"Retry-After": "2"})
        await asyncio.sleep(delay)
        delay = min(0.5, delay * 1.5)


class _Running:
    """Somebody runs it now."""


async def _try(
    session: AsyncSession, me: Claimant, asked: _Asked, claim: Claim, *, resumes: bool
) -> str | _Running | None:
    at = now()
    found = await session.exec(
        select(Row)
        .where(Row.scope == asked.scope, Row.key == asked.key)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    row = found.one_or_none()
    if row is None:
        used = await session.exec(select(func.count()).select_from(Row).where(Row.owner_id == asked.owner_id))
        if used.one() >= MAX_KEYS:
            raise TooManyKeys(headers={"Retry-After": "3600"})
        made = Row(
            scope=asked.scope,
            key=asked.key,
            owner_id=asked.owner_id,
            fingerprint=asked.fingerprint,
            claim=claim.claim,
            holder=me.holder,
            claimed_until=at + LEASE,
        )
        # Somebody may have been quicker; then we wait for them.
        return None if await insert_new(session, Row, [made]) else _Running()
    if row.created_at < at - KEPT:
        row.fingerprint, row.created_at, row.answer, row.has_gone_out = asked.fingerprint, at, None, False
    elif row.fingerprint != asked.fingerprint:
        raise _reused()
    elif row.answer is not None:
        return row.answer.get_secret_value()
    elif row.claimed_until > at and not me.is_gone(row.holder):
        return _Running()
    elif row.has_gone_out and not resumes:
        raise Interrupted
    row.claim, row.holder, row.claimed_until = claim.claim, me.holder, at + LEASE
    session.add(row)
    await session.flush()
    return None


async def _keep(session: AsyncSession, claim: Claim, answer: str) -> None:
    kept = await session.exec(
        update(Row)
        .where(col(Row.scope) == claim.scope, col(Row.key) == claim.key, col(Row.claim) == claim.claim)
        .values(answer=SecretStr(answer))
    )
    if not kept.rowcount:
        raise StillRunning(headers={"Retry-After": "2"})  # we were taken for dead, and another runs it


async def _free(request: web.Request, claim: Claim) -> None:
    """Nothing happened: whoever sends it again runs it."""
    await request[SESSION].rollback()
    async with request.app[DATABASE].transaction() as session:
        await session.exec(
            delete(Row).where(
                col(Row.scope) == claim.scope, col(Row.key) == claim.key, col(Row.claim) == claim.claim
            )
        )


async def _asked(request: web.Request) -> _Asked:
    given = request.headers.getall(HEADER)
    key = given[0].strip()
    if len(given) != 1 or not key or len(key) > MAX_LENGTH or not key.isascii() or not key.isprintable():
        raise Invalid.at("header", HEADER, msg=f"A key is 1 to {MAX_LENGTH} printable ASCII characters")
    caller = request[CALLER]
    return _Asked(
        owner_id=caller.owner_id,
        scope=f"{caller.owner_id}/{caller.user_id}",
        key=hashlib.sha256(key.encode()).hexdigest(),
        fingerprint=await _fingerprint(request),
    )


async def _fingerprint(request: web.Request) -> str:
    # What is in a form is compared once it was read (`upload_digests`).
    is_form = request.content_type.startswith("multipart/")
    body = b"a form" if is_form else _canonical(await request.read())
    whole = b"\n".join((request.method.encode(), request.path_qs.encode(), body))
    return hashlib.sha256(whole).hexdigest()


def _canonical(raw: bytes) -> bytes:
    """JSON in one way of writing it, anything else as it is."""
    try:
        return json.dumps(json.loads(raw or b"{}"), sort_keys=True).encode()
    except (ValueError, RecursionError):
        # The official SDK sends forms as JSON; their boundary differs each time.
        boundary = raw[:200].partition(b"\r\n")[0] if raw.startswith(b"--") else b""
        return raw.replace(boundary, b"") if boundary else raw


def _reused() -> Invalid:
    return Invalid.at("header", HEADER, msg="This key was used for another request", type="key_reused")


def _told(response: web.StreamResponse, content: str = "") -> str:
    if not isinstance(response, web.Response):
        return _STREAMED
    body = response.body if isinstance(response.body, bytes | bytearray) else b""
    if len(body) > MAX_ANSWER_BYTES or (response.body is not None and not isinstance(response.body, bytes)):
        return _LARGE
    told: dict[str, Any] = {
        "status": response.status,
        "headers": {name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers},
        "body": base64.b64encode(body).decode(),
        "content": content,
    }
    return json.dumps(told)


def _replayed(kept: str, content: str) -> web.Response:
    if kept in {_STREAMED, _LARGE}:
        raise NotRepeatable
    told = json.loads(kept)
    if told["content"] and told["content"] != content:
        raise _reused()
    return web.Response(
        status=told["status"],
        headers={**told["headers"], REPLAYED: "true"},
        body=base64.b64decode(told["body"]) if told["body"] else None,
    )
