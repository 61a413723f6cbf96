"""API keys over HTTP: made once, shown once, refused once revoked."""

import asyncio
import re
import time
from datetime import timedelta
from typing import Any

import pytest

from api.api_keys.known import KNOWN_SECONDS
from api.api_keys.table import ApiKeyRow
from api.db.columns import now
from api.db.engine import Database
from api.settings import Settings
from api.users.table import UserRow
from tests.support.api import AGENT, Api, Person


def test_a_key_is_shown_once_and_signs_in(api: Api, person: Person) -> None:
    made = person.made("/v1/api-keys", {"name": "Server"})
    key = made["api_key"]
    assert key.startswith(made["key_prefix"])
    assert key.startswith("sk_call2me_")
    assert (made["permissions"], made["rate_limit"], made["read_only"]) == ([], 1000, False)
    agent = api.ask("POST", "/v1/agents", AGENT, token=key)
    assert agent.status == 201
    assert agent.json["user_id"] == person.credentials["user"]["user_id"]
    listed = api.ask("GET", "/v1/api-keys", token=key)
    assert key not in listed.raw.decode()
    assert [shown["key_id"] for shown in listed.json] == [made["key_id"]]
    assert listed.json[0]["last_used_at"] is not None
    assert api.ask("GET", f"/v1/api-keys/{made['key_id']}", token=key).json == listed.json[0]


def test_a_revoked_key_is_refused_and_can_then_be_forgotten(api: Api, person: Person) -> None:
    made = person.made("/v1/api-keys", {"name": "Old"})
    path = f"/v1/api-keys/{made['key_id']}"
    assert person.ask("DELETE", f"{path}/permanent").status == 409
    assert api.ask("GET", "/v1/agents", token=made["api_key"]).status == 200  # so that it is known
    for _ in range(2):
        assert person.ask("DELETE", path).status == 204
    assert api.ask("GET", "/v1/agents", token=made["api_key"]).status == 401
    assert person.ask("GET", path).json["is_active"] is False
    assert person.ask("DELETE", f"{path}/permanent").status == 204
    assert person.ask("GET", path).status == 404


def test_a_key_that_is_almost_right_is_refused(api: Api, person: Person) -> None:
    key: str = person.made("/v1/api-keys", {"name": "k"})["api_key"]
    for wrong in (
        key[:-1],
        key + "0",
        key[:-1] + ("0" if key[-1] != "0" else "1"),
        key.upper(),
        "sk_call2me_",
    ):
        assert api.ask("GET", "/v1/agents", token=wrong).status == 401


def test_a_key_can_be_made_to_expire(person: Person) -> None:
    made = person.made("/v1/api-keys", {"name": "k", "expires_in_days": 1})
    assert made["expires_at"] > made["created_at"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": "n" * 101},
        {},
        {"name": "k", "rate_limit": 0},
        {"name": "k", "rate_limit": 10001},
        {"name": "k", "expires_in_days": 0},
        {"name": "k", "permissions": "all"},
        {"name": "k", "read_only": "perhaps"},
    ],
    ids=str,
)
def test_a_bad_key_is_not_made(person: Person, wrong: dict[str, Any]) -> None:
    assert person.ask("POST", "/v1/api-keys", wrong).status == 422
    assert person.ask("GET", "/v1/api-keys").json == []


def _operations(api: Api) -> list[tuple[str, str, dict[str, Any]]]:
    spec = api.ask("GET", "/openapi.json").json
    return [
        (method.upper(), re.sub(r"{\w+}", "x", path), operation)
        for path, methods in spec["paths"].items()
        for method, operation in methods.items()
        if {"BearerAuth": []} in operation["security"]
    ]


def test_every_operation_needs_its_scope_and_opens_with_it(api: Api) -> None:
    person = api.person()
    scopes = {one["scope"]: one["operations"] for one in person.ask("GET", "/v1/api-keys/scopes").json}
    assert {"agents:read", "agents:write", "calls:read", "knowledge_base:read", "wallet:read"} <= set(scopes)
    keys = {
        scope: person.made("/v1/api-keys", {"name": scope, "permissions": [scope]})["api_key"]
        for scope in scopes
    }
    wrong = []
    for method, path, operation in _operations(api):
        scope = operation["x-scope"]
        if scope == "login":
            continue
        assert any(operation["operationId"].startswith(name) for name in scopes[scope])
        other = next(one for one in scopes if one.partition(":")[0] != scope.partition(":")[0])
        refused = api.ask(
            method, path, raw=b"[]" if method not in {"GET", "DELETE"} else None, token=keys[other]
        )
        if refused.status != 403 or scope not in refused.detail:
            wrong.append((method, path, scope, refused.status))
        # A body that is none: what is allowed is refused for another reason, and nothing is done.
        opened = api.ask(
            method, path, raw=b"[]" if method not in {"GET", "DELETE"} else None, token=keys[scope]
        )
        if "needs the permission" in opened.raw.decode("utf-8", "replace"):
            wrong.append((method, path, scope, opened.status))
    assert wrong == []


@pytest.mark.parametrize(
    ("permissions", "reads", "writes", "makes_keys"),
    [
        ([], 200, 201, 201),
        (["*"], 200, 201, 201),
        (["admin"], 200, 201, 201),
        (["read"], 200, 403, 403),
        (["write"], 200, 201, 403),
        (["agents:read"], 200, 403, 403),
        (["agents:write"], 200, 201, 403),
        (["agents:*"], 200, 201, 403),
        (["calls:write", "wallet:read"], 403, 403, 403),
    ],
    ids=str,
)
def test_a_key_may_do_what_its_permissions_say(
    api: Api, person: Person, permissions: list[str], reads: int, writes: int, makes_keys: int
) -> None:
    key = person.made("/v1/api-keys", {"name": "k", "permissions": permissions})["api_key"]
    assert api.ask("GET", "/v1/agents", token=key).status == reads
    assert api.ask("POST", "/v1/agents", AGENT, token=key).status == writes
    new = {"name": "second", "permissions": ["calls:read"]}
    assert api.ask("POST", "/v1/api-keys", new, token=key).status == makes_keys
    assert len(person.ask("GET", "/v1/agents").json) == (writes == 201)


def test_a_permission_that_means_nothing_is_named(person: Person) -> None:
    for unknown in ("agents", "agents:delete", "nothing:read", "login", "*:*"):
        refused = person.ask("POST", "/v1/api-keys", {"name": "k", "permissions": ["read", unknown]})
        assert refused.status == 422
        assert refused.detail[0]["loc"] == ["body", "permissions", 1]
    assert person.ask("GET", "/v1/api-keys").json == []


def test_a_key_makes_no_key_that_may_more_than_itself(api: Api, person: Person) -> None:
    mine = {
        "name": "k",
        "permissions": ["api_keys:write", "agents:read"],
        "expires_in_days": 2,
        "rate_limit": 50,
    }
    key = person.made("/v1/api-keys", mine)["api_key"]
    days = {"expires_in_days": 1}
    for more in (
        {"permissions": [], **days},
        {"permissions": ["agents:write"], **days},
        {"permissions": ["read"], **days},
        {"permissions": ["agents:read"]},
        {"permissions": ["agents:read"], "expires_in_days": 3},
    ):
        assert api.ask("POST", "/v1/api-keys", {"name": "more", **more}, token=key).status == 403
    assert [one["name"] for one in person.ask("GET", "/v1/api-keys").json] == ["k"]
    less = {"name": "less", "permissions": ["agents:read"], **days}
    made = api.ask("POST", "/v1/api-keys", less, token=key)
    assert made.status == 201
    assert made.json["rate_limit"] == 50


def test_what_another_process_does_to_a_key_is_seen_within_a_moment(api: Api, person: Person) -> None:
    made = person.made("/v1/api-keys", {"name": "k", "expires_in_days": 1})
    assert api.ask("GET", "/v1/agents", token=made["api_key"]).status == 200

    async def run() -> None:
        database = Database(Settings.load(api.environment).database_url)
        async with database.transaction() as session:
            row = await session.get(ApiKeyRow, made["key_id"])
            assert row is not None
            assert await session.get(UserRow, row.owner_id) is not None
            row.expires_at = now() - timedelta(seconds=1)
            session.add(row)
        await database.close()

    asyncio.run(run())
    changed = time.monotonic()
    while api.ask("GET", "/v1/agents", token=made["api_key"]).status != 401:
        assert time.monotonic() - changed < KNOWN_SECONDS + 2


def test_what_a_key_was_used_for_is_counted(api: Api, person: Person) -> None:
    made = person.made("/v1/api-keys", {"name": "k"})
    usage = f"/v1/api-keys/{made['key_id']}/usage"
    nothing = person.ask("GET", usage).json
    assert (nothing["total_requests"], nothing["avg_duration_ms"]) == (0, 0)
    for path in ("/v1/agents", "/v1/calls", "/v1/agents/agent_000000000000"):
        api.ask("GET", path, token=made["api_key"])
    used = person.ask("GET", usage).json
    assert (used["total_requests"], used["successful_requests"], used["failed_requests"]) == (3, 2, 1)
    assert used["avg_duration_ms"] > 0
    assert used["period_start"] < used["period_end"]
    assert person.ask("GET", f"{usage}?days=0").status == 422
