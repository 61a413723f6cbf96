"""HTTP to Telnyx: bounded, with time limits, and repeated only where that cannot buy anything twice.

GET, DELETE, PATCH   again after no answer, 429 and 5xx: the same once more changes nothing
POST                 again after 429 alone, and where no connection came about: nothing was begun; with an
                     `Idempotency-Key` as the others
"""

import asyncio
import json
import random
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp

from api.outside.carrier import CarrierRefused, CarrierUnavailable

TRIES = 4
SECONDS = 15.0
"""For one try."""
ALL_SECONDS = 40.0
MAX_WAIT_SECONDS = 10.0
"""Whoever asks us to wait for longer is not waited for: the work is taken up again later."""
MAX_ANSWER_BYTES = 2 * 1024 * 1024
_FIRST_WAIT_SECONDS = 0.25


class TelnyxLine:
    """Requests under one key."""

    def __init__(self, url: str, key: str) -> None:
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {key}", "Accept": "application/json"}
        self._session: aiohttp.ClientSession | None = None

    async def ask(
        self, method: str, path: str, asked: Any = None, *, may_be_gone: bool = False, key: str = ""
    ) -> Any:
        """The answer's JSON; None for what is gone and may be. With a `key` a POST happens once.

        Raises `CarrierUnavailable`, and `CarrierRefused` for a 4xx.
        """
        try:
            async with asyncio.timeout(ALL_SECONDS):
                return await self._asked(method, path, asked, key, may_be_gone=may_be_gone)
        except TimeoutError:
            raise CarrierUnavailable("no answer in time") from None

    async def _asked(self, method: str, path: str, asked: Any, key: str, *, may_be_gone: bool) -> Any:
        number, happens_once = 0, method != "POST" or bool(key)
        while True:
            number += 1
            wait = _FIRST_WAIT_SECONDS * 2**number * (0.5 + random.random() / 2)  # noqa: S311 - to spread, not to hide
            try:
                status, headers, told = await self._once(method, path, asked, key)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                is_safe = happens_once or isinstance(error, aiohttp.ClientConnectorError)
                if not is_safe or number >= TRIES:
                    raise CarrierUnavailable(f"no answer: {type(error).__name__}") from None
                await asyncio.sleep(wait)
                continue
            if status < 300:
                return told
            if status == 404 and may_be_gone:
                return None
            is_again = status == 429 or (status >= 500 and happens_once)
            wanted = max(wait, _retry_after(headers)) if is_again else 0.0
            if is_again and number < TRIES and wanted <= MAX_WAIT_SECONDS:
                await asyncio.sleep(wanted)
                continue
            if status in {401, 403} and not _is_of_message(told):
                raise CarrierUnavailable("the key is refused")
            is_running = status == 409 and bool(key)  # a try of ours before this one
            if is_running or status >= 500 or status in {408, 429} or status < 400:
                raise CarrierUnavailable(f"answered {status}")
            raise CarrierRefused(_sentence(told, status))

    async def _once(self, method: str, path: str, asked: Any, key: str) -> tuple[int, Any, Any]:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=SECONDS))
        headers = {**self._headers, "Idempotency-Key": key} if key else self._headers
        async with self._session.request(
            method, self._url + path, json=asked, headers=headers, allow_redirects=False
        ) as reply:
            raw = await reply.content.read(MAX_ANSWER_BYTES + 1)
            while len(raw) <= MAX_ANSWER_BYTES and not reply.content.at_eof():
                raw += await reply.content.read(MAX_ANSWER_BYTES + 1 - len(raw))
            return reply.status, reply.headers, _json(raw, is_good=reply.status < 300)

    async def close(self) -> None:
        """Let the connections go."""
        if self._session is not None:
            await self._session.close()


def _json(raw: bytes, *, is_good: bool) -> Any:
    if len(raw) > MAX_ANSWER_BYTES:
        raise CarrierUnavailable("the answer is too large")
    try:
        return json.loads(raw or b"{}")
    except (ValueError, RecursionError):
        if not is_good:
            return {}
        raise CarrierUnavailable("the answer is not JSON") from None


def _retry_after(headers: Any) -> float:
    """Seconds, also where a moment is named; nothing for what is neither."""
    said = str(headers.get("Retry-After", "")).strip()
    if not said or len(said) > 40:
        return 0.0
    try:
        return max(0.0, float(said)) if said.replace(".", "", 1).isdigit() else _until(said)
    except ValueError:
        return 0.0


def _until(said: str) -> float:
    moment = parsedate_to_datetime(said)
    return (moment - datetime.now(UTC)).total_seconds() if moment.tzinfo is not None else 0.0


def _first(told: Any) -> dict[str, Any]:
    errors = told.get("errors") if isinstance(told, dict) else None
    return errors[0] if isinstance(errors, list) and errors and isinstance(errors[0], dict) else {}


def _is_of_message(told: Any) -> bool:
    """Whether a refusal is one of a text message, like that of a receiver who said STOP (40300)."""
    return re.fullmatch(r"40\d{3}", str(_first(told).get("code", ""))) is not None


def _sentence(told: Any, status: int) -> str:
    """What Telnyx says of its refusal, in one line; its words name no secret of ours."""
    first = _first(told)
    words = " ".join(str(first[name]) for name in ("title", "detail") if isinstance(first.get(name), str))
    printable = "".join(c if c.isprintable() else " " for c in words)[:200].strip()
    return printable or f"Telnyx answered {status}"
