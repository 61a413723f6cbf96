"""A function that is an HTTP endpoint of the owner's: asked, signed, tried again, checked both ways.

        arguments ─► schema ─► POST, signed, with a key ─┬─ 2xx ─► schema ─► mapping ─► engine
                                   ▲                      ├─ 429, 502, 503, 504, no connection ─► again
                                   └──── same key ────────┘
It imports no livekit: `POST /v1/agents/{id}/test-function` runs this same code in the api.
"""

import asyncio
import hashlib
import hmac
import json
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from jsonschema import Draft202012Validator
from standardwebhooks import Webhook
from yarl import URL

from pipelines.function_config import WebhookFunction
from pipelines.outbound import Answer, Guard, NoAnswer, Refused

MAX_BYTES = 64 * 1024
MAX_ARGUMENT_BYTES = 64 * 1024
FIRST_WAIT_SECONDS = 0.2
_AGAIN = frozenset((429, 502, 503, 504))
_IN_QUERY = frozenset(("GET", "DELETE"))
_OURS = frozenset(("content-type", "idempotency-key", "host", "content-length", "transfer-encoding"))


class WebhookFailed(Exception):
    """A function's endpoint gave nothing to use: `message` for the engine, `detail` for the record."""

    def __init__(self, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.message, self.detail = message, detail


@dataclass(frozen=True)
class Asked:
    """What one try sends."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None


async def ask(
    function: WebhookFunction,
    arguments: Any,
    guard: Guard,
    key: str,
    *,
    told: Mapping[str, str] | None = None,
) -> Any:
    """What the endpoint answers, as JSON or text, mapped. Raises `WebhookFailed`.

    `told` are more headers (whose call it is). All tries together take `timeout_ms` at most.
    """
    if why := _why_not(function.parameters, arguments):
        raise WebhookFailed(f"The arguments of {function.name} are not right: {why}")
    ends_at = time.monotonic() + function.timeout_ms / 1000
    answer = await _tried(function, request(function, arguments, key, told or {}), guard, ends_at)
    if not 200 <= answer.status < 300:
        said = text_of(answer)[:500].strip()
        raise WebhookFailed(
            f"{function.name} answered with status {answer.status}" + (f": {said}" if said else ".")
        )
    return _mapped(function, _checked(function, answer))


def request(function: WebhookFunction, arguments: Any, key: str, told: Mapping[str, str]) -> Asked:
    """The request as it goes out. Raises `WebhookFailed` where the arguments are too long."""
    in_query = function.method in _IN_QUERY
    url = URL(function.url)
    if in_query:
        url = url.extend_query(_flat(arguments))
        sent = url.raw_query_string.encode()
    else:
        sent = json.dumps(arguments, ensure_ascii=False).encode("utf-8", "replace")
    if len(sent) > MAX_ARGUMENT_BYTES:
        raise WebhookFailed(f"The arguments of {function.name} are too long.")
    headers = {name: value for name, value in function.headers.items() if name.lower() not in _OURS}
    headers |= {**told, "Idempotency-Key": key, "User-Agent": "Call2Me"}
    if not in_query:
        headers["Content-Type"] = "application/json"
    if function.secret:
        headers |= signed(function.secret, key, sent)
    return Asked(function.method, str(url), headers, None if in_query else sent)


def signed(secret: str, key: str, sent: bytes) -> dict[str, str]:
    """Both ways of signing that receivers know: the contract's, and Standard Webhooks with its time.

    `sent` is the body, or the whole query, as it stands in the request, where there is none.
    """
    moment = datetime.now(UTC)
    return {
        "X-Call2Me-Signature": f"sha256={hmac.new(secret.encode(), sent, hashlib.sha256).hexdigest()}",
        "webhook-id": key,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": Webhook(secret.encode()).sign(key, moment, sent.decode("utf-8", "replace")),
    }


async def send(asked: Asked, guard: Guard, seconds: float, max_bytes: int = MAX_BYTES) -> Answer:
    """One try. Raises `NoAnswer`, and `Refused` for what is neither HTTPS nor a host the operator named."""
    if not asked.url.lower().startswith("https://") and not guard.is_named(asked.url):
        raise Refused("The address must begin with https://.")
    return await guard.fetch(
        asked.method,
        asked.url,
        headers=asked.headers,
        data=asked.body,
        timeout_seconds=seconds,
        max_bytes=max_bytes,
    )


def text_of(answer: Answer) -> str:
    """A body as text, whatever it is."""
    return answer.body.decode("utf-8", "replace")


def as_text(value: Any) -> str:
    """A mapped answer as the engine reads it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


async def _tried(function: WebhookFunction, asked: Asked, guard: Guard, ends_at: float) -> Answer:
    wait = FIRST_WAIT_SECONDS
    for left in reversed(range(function.retries + 1)):
        answer, failed = None, ""
        try:
            answer = await send(asked, guard, max(0.1, round(ends_at - time.monotonic(), 1)))
        except Refused as error:
            raise WebhookFailed(f"{function.name} may not be reached from here.", str(error)) from None
        except NoAnswer as error:
            failed = str(error)
        if answer is not None and answer.status not in _AGAIN:
            return answer
        pause = _pause(answer, wait)
        if not left or time.monotonic() + pause >= ends_at:
            if answer is not None:
                return answer
            raise WebhookFailed(f"{function.name} gave no answer.", failed)
        await asyncio.sleep(pause)
        wait *= 3
    raise AssertionError  # the last try returned or raised


def _pause(answer: Answer | None, wait: float) -> float:
    asked_for = answer.headers.get("Retry-After", "") if answer is not None else ""
    if asked_for.isascii() and asked_for.isdigit():
        return float(asked_for[:6])
    return wait * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load


def _checked(function: WebhookFunction, answer: Answer) -> Any:
    text = text_of(answer)
    if answer.is_cut:
        raise WebhookFailed(f"{function.name} answered more than {MAX_BYTES // 1024} kB.")
    value: Any = text
    try:
        value = json.loads(text) if text.strip() else None
    except (ValueError, RecursionError):
        if function.response_schema is not None or function.response_mapping:
            raise WebhookFailed(f"{function.name} answered something that is not JSON.") from None
    if function.response_schema is not None and (why := _why_not(function.response_schema, value)):
        raise WebhookFailed(f"{function.name} answered something else than it promised.", why)
    return value


def _mapped(function: WebhookFunction, value: Any) -> Any:
    if not function.response_mapping:
        return value
    return {name: _at(value, path) for name, path in function.response_mapping.items()}


def _at(value: Any, path: str) -> Any:
    """What stands at `slots.0.time`; None where nothing does."""
    for part in filter(None, path.removeprefix("$").split(".")):
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list) and part.isascii() and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value


def _flat(arguments: Any) -> list[tuple[str, str]]:
    if not isinstance(arguments, dict):
        return []
    return [
        (name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
        for name, value in arguments.items()
        if value is not None
    ]


def _why_not(schema: dict[str, Any], value: Any) -> str:
    """What is wrong with a value, in a sentence that does not repeat it; empty when nothing is."""
    error = next(iter(_validator(json.dumps(schema)).iter_errors(value)), None)
    if error is None:
        return ""
    place = ".".join(str(part) for part in error.absolute_path) or "it"
    match error.validator:
        case "required":
            return str(error.message)[:200]
        case "type" | "enum" | "minimum" | "maximum" | "pattern" | "format":
            return f"{place}: {error.validator} must be {json.dumps(error.validator_value)[:200]}."
        case _:
            return f"{place} breaks the rule {error.validator}."


@lru_cache(maxsize=256)
def _validator(schema: str) -> Draft202012Validator:
    return Draft202012Validator(json.loads(schema))
