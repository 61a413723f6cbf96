"""Try a function before anybody calls: the same code that a call runs, within the contract's bounds."""

import secrets as random
import time
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError

from api.http.errors import Invalid, Unavailable
from api.http.wire import Wire
from pipelines import function_config
from pipelines.contract.websocket import FunctionTried
from pipelines.function_config import WebhookFunction
from pipelines.outbound import Guard, NoAnswer, Refused
from pipelines.tools import webhook

SECONDS = 8.0
PREVIEW = 1500
MAX_EXECUTED_BYTES = 64 * 1024

Run = Callable[[str, dict[str, Any], int], Awaitable[FunctionTried]]
"""Lets a worker run a developer's function: its name, the arguments, milliseconds."""


HeaderName = Annotated[str, Field(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}$")]
HeaderValue = Annotated[str, Field(max_length=4096, pattern=r"^[\t\x20-\x7e]*$")]
_OURS = frozenset({"host", "content-length", "transfer-encoding", "connection"})


def _not_ours(headers: dict[str, str]) -> dict[str, str]:
    if taken := [name for name in headers if name.lower() in _OURS]:
        raise ValueError(f"{taken[0]} is set by the client itself.")
    return headers


Headers = Annotated[dict[HeaderName, HeaderValue], Field(max_length=20), AfterValidator(_not_ours)]
"""What can be sent as headers: nothing in them ends a line."""


class NobodyTries(Unavailable):
    """No worker that is connected has this function"""


class FunctionTry(Wire):
    """What to try: an address, or by its name a function of the agent's or a developer's."""

    url: Annotated[str, Field(min_length=1, max_length=2048)] | None = None
    name: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "POST"
    headers: Headers | None = None
    sample_args: Annotated[dict[str, Any], Field(max_length=200)] = Field(default_factory=dict)


class FunctionOutcome(Wire):
    """What came of it; the body is cut to 1500 characters."""

    ok: bool
    status_code: int | None = None
    elapsed_ms: int = 0
    body_preview: str = ""
    error: str | None = None


class FunctionCall(Wire):
    """An address that is to be asked once."""

    url: Annotated[str, Field(min_length=1, max_length=2048)]
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "POST"
    body: Any = None
    """Sent as JSON."""
    headers: Headers | None = None
    timeout_ms: Annotated[int, Field(ge=100, le=30_000)] = 30_000


class FunctionAnswer(Wire):
    """What it answered, at most 64 KB of it; `status_code` is 0 where nothing did."""

    success: bool
    status_code: int
    body: str
    error: str | None = None


async def outcome(
    asked: FunctionTry, functions: list[dict[str, Any]], guard: Guard, run: Run
) -> FunctionOutcome:
    """Try it. `functions` are the agent's own, with their secrets. Raises `Invalid` where none is named."""
    if asked.url is not None:
        return await _of_address(asked, guard)
    if asked.name is None:
        raise Invalid.at("body", "url", msg="Field required", type="missing")
    entry = next((one for one in functions if one.get("name") == asked.name), None)
    if entry is not None and isinstance(function := function_config.read(entry), WebhookFunction):
        return await _of_webhook(function, asked.sample_args, guard)
    tried = await run(asked.name, asked.sample_args, int(SECONDS * 1000))
    return FunctionOutcome(
        ok=tried.ok,
        elapsed_ms=round(tried.elapsed_ms),
        body_preview=tried.result[:PREVIEW],
        error=tried.error or None,
    )


async def _of_address(asked: FunctionTry, guard: Guard) -> FunctionOutcome:
    try:
        function = WebhookFunction.model_validate(
            {"name": "test", "url": asked.url, "method": asked.method, "headers": asked.headers or {}}
        )
    except ValidationError as error:
        raise Invalid.of(error, "body") from None
    began = time.monotonic()
    try:
        request = webhook.request(function, asked.sample_args, _key(), {})
        answer = await webhook.send(request, guard, SECONDS, max_bytes=4 * PREVIEW)
    except (NoAnswer, webhook.WebhookFailed) as error:
        return FunctionOutcome(ok=False, elapsed_ms=_since(began), error=str(error))
    is_fine = 200 <= answer.status < 300
    return FunctionOutcome(
        ok=is_fine,
        status_code=answer.status,
        elapsed_ms=_since(began),
        body_preview=webhook.text_of(answer)[:PREVIEW],
        error=None if is_fine else f"The address answered with status {answer.status}.",
    )


async def _of_webhook(function: WebhookFunction, arguments: dict[str, Any], guard: Guard) -> FunctionOutcome:
    began = time.monotonic()
    bounded = function.model_copy(update={"timeout_ms": min(function.timeout_ms, int(SECONDS * 1000))})
    try:
        value = await webhook.ask(bounded, arguments, guard, _key())
    except webhook.WebhookFailed as error:
        sentence = f"{error.message} {error.detail}".strip()
        return FunctionOutcome(ok=False, elapsed_ms=_since(began), error=sentence)
    return FunctionOutcome(ok=True, elapsed_ms=_since(began), body_preview=webhook.as_text(value)[:PREVIEW])


async def executed(asked: FunctionCall, guard: Guard) -> FunctionAnswer:
    """Ask an address once, as the dashboard's proxy: guarded as every address that somebody gave."""
    try:
        function = WebhookFunction.model_validate(
            {"name": "execute", "url": asked.url, "method": asked.method, "headers": asked.headers or {}}
        )
    except ValidationError as error:
        raise Invalid.of(error, "body") from None
    try:
        if not function.url.lower().startswith("https://") and not guard.is_named(function.url):
            raise Refused("The address must begin with https://.")
        answer = await guard.fetch(
            asked.method,
            function.url,
            headers=asked.headers,
            json=None if asked.method == "GET" else asked.body,
            timeout_seconds=asked.timeout_ms / 1000,
            max_bytes=MAX_EXECUTED_BYTES,
        )
    except NoAnswer as error:
        return FunctionAnswer(success=False, status_code=0, body="", error=str(error))
    is_fine = 200 <= answer.status < 300
    return FunctionAnswer(
        success=is_fine,
        status_code=answer.status,
        body=answer.body.decode("utf-8", "replace").replace("\x00", ""),
        error=None if is_fine else f"The address answered with status {answer.status}.",
    )


def _key() -> str:
    return f"test-{random.token_hex(12)}"


def _since(began: float) -> int:
    return round((time.monotonic() - began) * 1000)
