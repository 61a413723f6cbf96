"""Who calls: one header, two kinds of credentials, and a key of their own for workers."""

import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from aiohttp import web

from api.http.errors import Forbidden, Unauthorized
from api.http.rate_limits import CALLER_LIMIT, REFUSED_LIMIT, Limit, Standing, network_of
from api.http.routes import Route
from api.http.scopes import LOGIN, is_granted, scope_of
from api.keys import AUTHENTICATORS, CALLER, RATE_LIMITS, SETTINGS

API_KEY_PREFIX = "sk_"
END_USER_PREFIX = "eut_"
ANY_SCOPE = "*"
"""Of a route that every end user may use, whatever the token's scopes."""
INTERNAL_HEADER = "X-Internal-Key"
STANDING: web.RequestKey[Standing] = web.RequestKey("standing")
_READING = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True)
class EndUserRights:
    """What an end user's token lets them do, of all that its owner may."""

    scopes: frozenset[str]
    agent_ids: frozenset[str] | None = None
    """None: every agent whose card is not hidden."""


@dataclass(frozen=True)
class Caller:
    """Who authenticated, and whose things they see."""

    owner_id: str
    """Stands in every query for a thing that belongs to somebody."""
    user_id: str
    """Somebody apart from everybody else: an end user is another one than their owner."""
    kind: Literal["user", "api_key", "end_user", "visitor"]
    login_id: str = ""
    """Of a user: the login that this token came from."""
    key_id: str = ""
    is_read_only: bool = False
    permissions: tuple[str, ...] = ()
    """Of a key: what it may do (`api.http.scopes`); none: everything."""
    rate_limit: int = 0
    """Of a key: requests a minute, where that is less than its user has; 0: no number of its own."""
    user_rate_limit: int = 0
    """Requests a minute that the operator allows this user; 0: the usual."""
    external_user_id: str = ""
    """Of an end user: what the owner's own system calls them. They see what carries it, and nothing else."""
    end_user: EndUserRights | None = None


Authenticate = Callable[[web.Request, str], Awaitable[Caller]]
"""Turn a token into who carries it, or raise `Unauthorized`."""


@dataclass(frozen=True)
class Authenticators:
    """How each kind of token is checked; `api.app` puts them together."""

    access_token: Authenticate
    api_key: Authenticate
    end_user: Authenticate


class ReadOnlyKey(Forbidden):
    """This API key may only read"""


class NotForEndUsers(Forbidden):
    """An end-user token may not do this"""


class ScopeMissing(Forbidden):
    """This API key is not allowed to do this"""


class LoginNeeded(Forbidden):
    """Sign in for this; an API key is not enough"""


class NotAWorker(Unauthorized):
    """The internal key is missing or wrong"""


async def admit(request: web.Request, route: Route) -> None:
    """Let a request in to a route: who it is, whether they may, whether they may now."""
    if route.access == "internal":
        _require_internal_key(request)
        return
    if route.access == "public":
        await _count(request, route.limit, network_of(address(request)))
        return
    try:
        caller = await identify(request, route.end_user)
    except Unauthorized:
        await _count(request, REFUSED_LIMIT, network_of(address(request)))
        raise
    await _count_caller(request, route, caller)
    if caller.is_read_only and request.method not in _READING:
        raise ReadOnlyKey
    if caller.kind == "api_key":
        _require_scope(caller, scope_of(route))


def _require_scope(caller: Caller, scope: str) -> None:
    if scope == LOGIN:
        raise LoginNeeded
    if not is_granted(caller.permissions, scope):
        raise ScopeMissing(f"This API key is not allowed to do this; it needs the permission {scope}")


async def _count_caller(request: web.Request, route: Route, caller: Caller) -> None:
    """A user has one number over all their credentials; a key and an operation may have one besides."""
    usual = caller.user_rate_limit or request.app[SETTINGS].user_rate_limit
    await _count(request, Limit(CALLER_LIMIT.name, usual), caller.user_id)
    if caller.key_id and 0 < caller.rate_limit < usual:
        await _count(request, Limit("key", caller.rate_limit), caller.key_id)
    if route.limit != CALLER_LIMIT:
        await _count(request, route.limit, caller.user_id)


async def identify(request: web.Request, end_user: str = "") -> Caller:
    """Who carries this request's credentials; raises `Unauthorized` where nobody we know does.

    For public routes with a second way in (a signed URL, else a caller). Sets `request[CALLER]`.
    `end_user` is the scope that an end user needs here; without one, none is let in (`NotForEndUsers`).
    """
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token or not token.isascii() or len(token) > 4096:
        raise Unauthorized
    authenticators = request.app[AUTHENTICATORS]
    if token.startswith(END_USER_PREFIX):
        check = authenticators.end_user
    else:
        check = authenticators.api_key if token.startswith(API_KEY_PREFIX) else authenticators.access_token
    caller = await check(request, token)
    if caller.end_user is not None and not (end_user == ANY_SCOPE or end_user in caller.end_user.scopes):
        raise NotForEndUsers(
            f"This needs an end-user token with the scope {end_user}."
            if end_user not in {"", ANY_SCOPE}
            else ""
        )
    request[CALLER] = caller
    return caller


def address(request: web.Request) -> str:
    """The client's address; X-Forwarded-For counts only as far as proxies are trusted."""
    hops = request.app[SETTINGS].trusted_proxies
    if hops:
        forwarded = [
            part.strip() for part in ",".join(request.headers.getall("X-Forwarded-For", [])).split(",")
        ]
        if len(forwarded) >= hops and forwarded[-hops]:
            return forwarded[-hops][:64]
    return request.remote or ""


async def _count(request: web.Request, limit: Limit, key: str) -> None:
    standing = await request.app[RATE_LIMITS].take(limit, key)
    if standing is None:
        return
    tightest = request.get(STANDING)
    if tightest is None or standing.remaining < tightest.remaining:
        request[STANDING] = standing


def _require_internal_key(request: web.Request) -> None:
    given = request.headers.get(INTERNAL_HEADER, "").encode("utf-8", "replace")
    if not hmac.compare_digest(given, request.app[SETTINGS].secrets.internal_key.encode()):
        raise NotAWorker
