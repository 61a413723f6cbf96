"""Who changed what: written with the change, or not at all; read by the owner alone."""

import time

import pytest
from sqlalchemy import create_engine, text

from api.settings import Settings
from tests.support.api import AGENT, PASSWORD, Api, Person


def entries(person: Person, query: str = "") -> list[dict[str, object]]:
    found = person.ask("GET", f"/v1/audit-log{query}")
    assert found.status == 200, found.raw
    listed: list[dict[str, object]] = found.json["entries"]
    return listed


def test_a_change_is_written_down_with_who_made_it_and_what_was_sent(api: Api, person: Person) -> None:
    made = person.ask("POST", "/v1/agents", AGENT, headers={"X-Request-ID": "my-request-1"})
    agent_id = made.json["agent_id"]
    person.ask("PATCH", f"/v1/agents/{agent_id}", {"agent_name": "Confidential", "language": "en-US"})
    key = person.made("/v1/api-keys", {"name": "k"})
    api.ask("DELETE", f"/v1/agents/{agent_id}", token=key["api_key"])
    deleted, made_key, changed, created, registered = entries(person)
    user_id = person.credentials["user"]["user_id"]
    assert created["action"] == "create_agent"
    assert created["target"] == {"agent_id": agent_id}
    assert (created["actor"], created["user_id"], created["request_id"]) == ("user", user_id, "my-request-1")
    assert created["address"] == "127.0.0.1"
    assert changed["target"] == {"agent_id": agent_id}
    assert changed["changed"] == ["agent_name", "language"]
    assert made_key["target"] == {"key_id": key["key_id"]}
    assert (deleted["actor"], deleted["key_id"]) == ("api_key", key["key_id"])
    assert registered["action"] == "register"
    raw = person.ask("GET", "/v1/audit-log").raw.decode()
    assert "Confidential" not in raw
    assert key["api_key"] not in raw


def test_what_failed_and_what_only_reads_is_not_written_down(person: Person) -> None:
    before = entries(person)
    assert person.ask("PATCH", "/v1/agents/agent_000000000000", {"agent_name": "x"}).status == 404
    assert person.ask("POST", "/v1/agents", {"agent_name": ""}).status == 422
    person.ask("GET", "/v1/agents")
    person.ask("POST", "/v1/knowledge-base/kb_000000000000/query", {"query": "?"})
    assert entries(person) == before


def test_signing_in_is_written_down(api: Api, person: Person) -> None:
    api.ask("POST", "/v1/auth/login", {"email": person.email, "password": PASSWORD})
    api.ask("POST", "/v1/auth/login", {"email": person.email, "password": "wrong"})
    assert [entry["action"] for entry in entries(person)] == ["log_in", "register"]


def test_entries_are_chosen_and_paged(person: Person) -> None:
    for _ in range(3):
        person.made("/v1/agents", AGENT)
        time.sleep(0.01)
    some = entries(person, "?action=create_agent&limit=2")
    rest = entries(person, "?action=create_agent&limit=2&offset=2")
    assert (len(some), len(rest)) == (2, 1)
    since = str(some[-1]["at"]).replace("+", "%2B")
    assert [entry["id"] for entry in entries(person, f"?since={since}")] == [one["id"] for one in some]
    assert person.ask("GET", "/v1/audit-log?limit=201").status == 422


def test_nobody_reads_anothers(api: Api, person: Person) -> None:
    person.made("/v1/agents", AGENT)
    stranger = api.person()
    assert [entry["action"] for entry in entries(stranger)] == ["register"]


@pytest.mark.parametrize("path", ["/v1/audit-log", "/v1/audit-log/x"])
def test_nobody_changes_it(person: Person, path: str) -> None:
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert person.ask(method, path, {}).status in {404, 405}


def test_an_entry_that_cannot_be_written_takes_its_change_along(api: Api, person: Person) -> None:
    """One transaction: where the log is full, nothing is changed either."""
    settings = Settings.load(api.environment)
    url = settings.database_url.replace("+aiosqlite", "").replace("+asyncpg", "+psycopg")
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("alter table audit_log rename to audit_log_away"))
    try:
        assert person.ask("POST", "/v1/agents", AGENT).status >= 500
        assert person.ask("GET", "/v1/agents").json == []
    finally:
        with engine.begin() as connection:
            connection.execute(text("alter table audit_log_away rename to audit_log"))
        engine.dispose()
    assert person.ask("POST", "/v1/agents", AGENT).status == 201
