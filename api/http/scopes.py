"""What an API key may do: one scope for each operation, from the resource it belongs to and what it does.

GET /v1/agents ─────────► agents:read      POST /v1/agents ─────► agents:write
POST …/query ───────────► knowledge_base:read (`READS`: it asks, and changes nothing)
POST /v1/auth/change-password ─► login (`LOGINS`: of a person who signed in, never of a key)
"""

import re
from collections.abc import Iterable

from api.http.routes import Route, Routes

LOGIN = "login"
"""Of what no key may do, whatever its permissions are."""

RESOURCES = {"Authentication": "users", "Audio": "voices", "LLM": "voices", "Pricing": "wallet"}
"""Resources that are not called as their tag is. All others are: `Knowledge base` is `knowledge_base`."""

READS = frozenset(
    {
        "query_knowledge_base",
        "preview_voice",
        "speak",
        "transcribe",
        "chat",
        "listen_to_call",
    }
)
"""Operations that are no GET and change nothing."""

LOGINS = frozenset(
    {
        "change_password",
        "erase_account",
        "export_account",
    }
)

EVERYTHING = frozenset({"*", "admin"})
_NOT_OF_WRITE = frozenset({"api_keys", "users", "tenant", "payments"})
"""What the permission `write` does not change: who may get in, and money."""


def scope_of(route: Route) -> str:
    """The scope of an operation: `<resource>:read`, `<resource>:write`, or `LOGIN`."""
    if route.name in LOGINS:
        return LOGIN
    resource = RESOURCES.get(route.tag) or re.sub(r"[^a-z0-9]+", "_", route.tag.lower()).strip("_")
    return f"{resource}:{'read' if route.method == 'GET' or route.name in READS else 'write'}"


def table(resources: Iterable[Routes]) -> dict[str, list[str]]:
    """Every scope that a key can have, and the operations it opens."""
    found: dict[str, list[str]] = {}
    for routes in resources:
        for route in routes.all:
            if route.access == "caller" and (scope := scope_of(route)) != LOGIN:
                found.setdefault(scope, []).append(route.name)
    return dict(sorted(found.items()))


def is_granted(permissions: Iterable[str], scope: str) -> bool:
    """Whether a key with these permissions may do what needs this scope. No permissions at all: everything.

    Who may change a resource may read it, too.
    """
    if scope == LOGIN:
        return False
    held = frozenset(permissions)
    if not held or held & EVERYTHING:
        return True
    resource, _, action = scope.partition(":")
    if held & {scope, f"{resource}:*", f"{resource}:write"}:
        return True
    if action == "read":
        return bool(held & {"read", "write", f"{resource}:read"})
    return "write" in held and resource not in _NOT_OF_WRITE


def is_known(permission: str, scopes: Iterable[str]) -> bool:
    """Whether a permission means something here."""
    if permission in EVERYTHING or permission in {"read", "write"}:
        return True
    resource, _, action = permission.partition(":")
    return any(resource == known.partition(":")[0] for known in scopes) and action in {"read", "write", "*"}


def is_within(wanted: Iterable[str], held: Iterable[str], scopes: Iterable[str]) -> bool:
    """Whether every operation that `wanted` opens is one that `held` opens."""
    wanted, held = list(wanted), list(held)
    return all(is_granted(held, scope) for scope in scopes if is_granted(wanted, scope))
