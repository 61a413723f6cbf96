"""API keys over HTTP: made once, shown once, refused once revoked."""

from typing import Any

import pytest

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


def test_a_key_that_may_only_read_changes_nothing(api: Api, person: Person) -> None:
    key = person.made("/v1/api-keys", {"name": "Reader", "read_only": True})["api_key"]
    assert api.ask("GET", "/v1/agents", token=key).status == 200
    for method, path in (("POST", "/v1/agents"), ("PATCH", "/v1/users/me"), ("DELETE", "/v1/agents/x")):
        refused = api.ask(method, path, AGENT, token=key)
        assert (refused.status, refused.detail) == (403, "This API key may only read")
    assert person.ask("GET", "/v1/agents").json == []


def test_a_revoked_key_is_refused_and_can_then_be_forgotten(api: Api, person: Person) -> None:
    made = person.made("/v1/api-keys", {"name": "Old"})
    path = f"/v1/api-keys/{made['key_id']}"
    assert person.ask("DELETE", f"{path}/permanent").status == 409
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
