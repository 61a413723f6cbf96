"""Errors: a name, a sentence, and one table that knows statuses.

    ApiError
    ├── BadRequest ── Unauthorized ── PaymentRequired ── Forbidden ── NotFound ── MethodNotAllowed
    ├── NotAcceptable ── RequestTimeout ── Conflict ── Gone ── PreconditionFailed ── TooLarge
    ├── UnsupportedMedia
    ├── RangeNotSatisfiable ── Invalid (the list form) ── TooManyRequests
    ├── TooEarly
    └── Internal ── NotSupported ── BadGateway ── Unavailable ── GatewayTimeout

A resource derives its own: the docstring is what the reader of the reply sees.
"""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from aiohttp import web
from pydantic import ValidationError
from pydantic_core import to_json

_MAX_PARTS = 50
_MAX_ECHO = 500
RETRY_SECONDS = "30"
"""When to ask again for what is not there now, where nobody knows better."""


class ApiError(Exception):
    """Something went wrong"""

    keeps_changes: ClassVar[bool] = False
    """True where what the request wrote must stay, although it fails (a stolen token is revoked)."""

    def __init__(self, message: str = "", *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message or sentence(type(self)))
        self.headers = dict(headers or {})

    @property
    def detail(self) -> Any:
        """What stands under `detail` in the reply."""
        return str(self)


class BadRequest(ApiError):
    """The request cannot be understood"""


class Unauthorized(ApiError):
    """Not authenticated"""

    def __init__(self, message: str = "", *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message, headers={"WWW-Authenticate": "Bearer", **(headers or {})})


class PaymentRequired(ApiError):
    """Insufficient balance"""


class Forbidden(ApiError):
    """Not allowed"""


class NotFound(ApiError):
    """Not Found"""


class MethodNotAllowed(ApiError):
    """Method Not Allowed"""


class NotAcceptable(ApiError):
    """Nothing here is of a type that the Accept header allows"""


class RequestTimeout(ApiError):
    """The request took too long to arrive"""


class Conflict(ApiError):
    """The state of the thing does not allow this"""


class Gone(ApiError):
    """This is over"""


class PreconditionFailed(ApiError):
    """Somebody changed this meanwhile: get it again, and make your change to what it is now"""


class TooLarge(ApiError):
    """The request body is too large"""


class UnsupportedMedia(ApiError):
    """The type of the request body is not supported"""


class RangeNotSatisfiable(ApiError):
    """The requested range is not there"""


class Invalid(ApiError):
    """The request is not valid"""

    def __init__(self, errors: Sequence[Mapping[str, Any]]) -> None:
        super().__init__()
        self.errors = [dict(part) for part in errors]

    @property
    def detail(self) -> Any:
        """The list form: one `{loc, msg, type, input}` for each thing that is wrong."""
        return self.errors

    @classmethod
    def at(cls, *loc: str | int, msg: str, type: str = "value_error", input: Any = None) -> "Invalid":  # noqa: A002 - the wire's words
        """One thing that only a service could see is wrong, at a place in the request."""
        return cls([{"loc": list(loc), "msg": msg, "type": type, "input": input}])

    @classmethod
    def of(cls, error: ValidationError, place: str) -> "Invalid":
        """What pydantic found in one part of a request: `body`, `query`, `path`."""
        found = error.errors(include_url=False, include_context=False)
        return cls(
            [
                {**part, "loc": [place, *part["loc"]], "input": echoed(part["input"])}
                for part in found[:_MAX_PARTS]
            ]
        )


def echoed(value: Any) -> Any:
    """What was sent, as far as repeating it helps: short, and always something JSON can say.

    A missing field's input is all that stood around it; a reply must not grow larger than its request.
    """
    if isinstance(value, bool | int | float | None):
        return value
    if isinstance(value, str):
        return value[:_MAX_ECHO].encode("utf-8", "replace").decode()
    if isinstance(value, dict | list) and len(value) <= 10 and len(shown := repr(value)) <= _MAX_ECHO:
        return value if shown.isascii() else None
    return None


class TooEarly(ApiError):
    """Ask again when it is time"""


class TooManyRequests(ApiError):
    """Rate limit exceeded. Please wait before retrying."""


class Internal(ApiError):
    """Internal Server Error"""


class NotSupported(ApiError):
    """This is not supported here"""


class BadGateway(ApiError):
    """A service that we depend on failed"""


class Unavailable(ApiError):
    """This is not available now"""

    def __init__(self, message: str = "", *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message, headers={"Retry-After": RETRY_SECONDS, **(headers or {})})


class GatewayTimeout(ApiError):
    """A service that we depend on did not answer in time"""


STATUS: dict[type[ApiError], int] = {
    BadRequest: 400,
    Unauthorized: 401,
    PaymentRequired: 402,
    Forbidden: 403,
    NotFound: 404,
    MethodNotAllowed: 405,
    NotAcceptable: 406,
    RequestTimeout: 408,
    Conflict: 409,
    Gone: 410,
    PreconditionFailed: 412,
    TooLarge: 413,
    UnsupportedMedia: 415,
    RangeNotSatisfiable: 416,
    Invalid: 422,
    TooEarly: 425,
    TooManyRequests: 429,
    Internal: 500,
    NotSupported: 501,
    BadGateway: 502,
    Unavailable: 503,
    GatewayTimeout: 504,
}
_KIND = {status: kind for kind, status in STATUS.items()}


def status_of(error: type[ApiError]) -> int:
    """The status of an error: that of its nearest ancestor in the table."""
    return next((STATUS[kind] for kind in error.__mro__ if kind in STATUS), 500)


def sentence(error: type[ApiError]) -> str:
    """What an error of this kind says when nothing more exact was said."""
    return (inspect.getdoc(error) or error.__name__).split("\n\n")[0].replace("\n", " ")


def reply(error: ApiError) -> web.Response:
    """The contract's body for an error."""
    return web.Response(
        # A 422 repeats the input, which may hold what JSON cannot: NaN, or text cut inside a pair.
        body=to_json({"detail": error.detail}, inf_nan_mode="null", fallback=repr, serialize_unknown=True),
        status=status_of(type(error)),
        headers=error.headers,
        content_type="application/json",
    )


def translated(error: web.HTTPException) -> ApiError:
    """One of aiohttp's own errors (no such route, body too large) as one of ours."""
    kind = _KIND.get(error.status, Internal if error.status >= 500 else BadRequest)
    headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
    return kind(headers=headers) if kind is not Invalid else BadRequest(headers=headers)
