"""The same request twice is one request; a change is made to the state that was seen."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from sqlmodel import col

from api.db.columns import now
from api.db.engine import Database
from api.http.table import IdempotencyRow
from api.settings import Settings
from tests.support.api import AGENT, ROOT, Api, Person, Reply, running_api
from tests.support.knowledge import form
from tests.support.ports import free_port


def make(person: Person, key: str, body: Any = AGENT, path: str = "/v1/agents") -> Reply:
    return person.ask("POST", path, body, headers={"Idempotency-Key": key})


def agents(person: Person) -> list[str]:
    return [agent["agent_id"] for agent in person.ask("GET", "/v1/agents").json]


def test_the_same_request_twice_makes_one_thing(person: Person) -> None:
    first, second = make(person, "a"), make(person, "a", dict(reversed(AGENT.items())))
    assert (first.status, second.status) == (201, 201)
    assert first.raw == second.raw
    for name in ("location", "etag", "content-type"):
        assert first.headers[name] == second.headers[name]
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"
    assert agents(person) == [first.json["agent_id"]]


def test_another_request_under_the_same_key_is_refused(person: Person) -> None:
    made = make(person, "a").json["agent_id"]
    for body, path in (
        ({**AGENT, "agent_name": "Other"}, "/v1/agents"),
        ({**AGENT, "agent_name": "Recepti0n"}, "/v1/agents"),
        (None, f"/v1/agents/{made}/duplicate"),
    ):
        refused = make(person, "a", body, path)
        assert refused.status == 422
        assert refused.detail[0]["loc"] == ["header", "Idempotency-Key"]
    assert agents(person) == [made]


@pytest.mark.parametrize("path", ["/v1/contacts/upload", "/v1/knowledge-base/upload"])
def test_uploads_are_told_apart_by_what_is_in_them(person: Person, path: str) -> None:
    if "contacts" in path:
        files = [f"phone,name\n+9053212345{number},Ada\n".encode() for number in (67, 68)]
        field, fields = "file", {}
    else:  # larger than what is held of it, and different only far behind
        files = [b"Cars may stand behind the house.\n\n" * 180_000 + end for end in (b"Yes.", b"No!!")]
        field, fields = "files", {"knowledge_base_name": "House", "embedder": "words"}

    def sent(content: bytes) -> Reply:
        raw, headers = form([(field, ("mine.csv" if field == "file" else "mine.md", content))], fields)
        return person.ask("POST", path, raw=raw, headers={**headers, "Idempotency-Key": "upload"})

    first, again, other = sent(files[0]), sent(files[0]), sent(files[1])
    assert first.status < 300, first.raw
    assert (again.raw, again.headers.get("idempotency-replayed")) == (first.raw, "true")
    assert (other.status, other.detail[0]["type"]) == (422, "key_reused")


def test_keys_of_two_people_are_two(api: Api) -> None:
    one, other = api.person(), api.person()
    assert make(one, "same").json["agent_id"] != make(other, "same").json["agent_id"]


def test_a_key_shown_once_is_shown_again_to_its_own_key_and_sealed_at_rest(api: Api, person: Person) -> None:
    first, second = (make(person, "k", {"name": "CI"}, "/v1/api-keys") for _ in range(2))
    assert first.json["api_key"] == second.json["api_key"]
    assert len(person.ask("GET", "/v1/api-keys").json) == 1
    path = Settings.load(api.environment).database_url
    if path.startswith("sqlite"):
        folder = Path(api.home)
        kept = b"".join(part.read_bytes() for part in folder.glob("call2me.sqlite*"))
        assert first.json["api_key"].encode() not in kept


def test_what_failed_is_tried_anew(person: Person) -> None:
    body = {"agent_id": "agent_000000000000"}
    assert make(person, "c", body, "/v1/chats").status == 404
    assert make(person, "c", {"agent_id": agents_made(person)}, "/v1/chats").status == 200


def agents_made(person: Person) -> str:
    return str(person.made("/v1/agents", AGENT)["agent_id"])


@pytest.mark.parametrize("key", ["", " ", "x" * 256, "schlüssel"])
def test_a_key_that_is_none_is_refused(person: Person, key: str) -> None:
    refused = make(person, key.encode().decode("latin-1"))
    assert (refused.status, refused.detail[0]["loc"][0]) == (422, "header")
    assert agents(person) == []


def test_twins_run_once_and_get_one_answer(person: Person) -> None:
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda _: make(person, "twin"), range(8)))
    assert {reply.status for reply in replies} == {201}
    assert len({reply.raw for reply in replies}) == 1
    assert len(agents(person)) == 1


def test_reading_needs_no_key_and_minds_none(person: Person) -> None:
    made = agents_made(person)
    for _ in range(2):
        reply = person.ask("GET", f"/v1/agents/{made}", headers={"Idempotency-Key": "x"})
        assert reply.status == 200
        assert "idempotency-replayed" not in reply.headers


async def test_a_key_is_forgotten_after_a_day(api: Api, person: Person) -> None:
    first = make(person, "old").json["agent_id"]
    database = Database(Settings.load(api.environment).database_url)
    async with database.transaction() as session:
        owner = person.credentials["user"]["user_id"]
        await session.exec(
            update(IdempotencyRow)
            .where(col(IdempotencyRow.owner_id) == owner)
            .values(created_at=now() - timedelta(hours=25))
        )
    await database.close()
    second = make(person, "old", {**AGENT, "agent_name": "Another"})
    assert second.status == 201
    assert second.json["agent_id"] != first


@pytest.mark.parametrize("point", ["answer committed, not sent", "claimed, nothing committed"])
def test_a_kill_leaves_neither_two_nor_none(tmp_path: Path, point: str) -> None:
    with running_api(tmp_path) as api:
        person = api.person()
    port = free_port()
    dying = subprocess.Popen(
        [sys.executable, "-m", "tests.support.dying_api", point],
        env={**api.environment, "CALL2ME_PORT": str(port)},
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        there = Person(
            Api(f"http://127.0.0.1:{port}", tmp_path, api.log, api.environment), "", person.credentials
        )
        _wait_for(there.api, dying)
        with pytest.raises(OSError):  # noqa: PT011 - however the connection breaks
            make(there, "once")
        assert dying.wait(10) == -signal.SIGKILL
    finally:
        if dying.poll() is None:
            os.kill(dying.pid, signal.SIGKILL)
    with running_api(tmp_path) as again:
        back = Person(again, person.email, person.credentials)
        was_there = agents(back)
        assert len(was_there) == (1 if point.startswith("answer") else 0)
        reply = make(back, "once")
        assert reply.status == 201, reply.raw
        assert reply.headers.get("idempotency-replayed") == ("true" if was_there else None)
        assert agents(back) == [reply.json["agent_id"]]


def _wait_for(api: Api, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            if api.ask("GET", "/health/live").status == 200:
                return
        except OSError:
            assert process.poll() is None, "it died too early"
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_every_operation_that_makes_something_names_the_key(api: Api) -> None:
    spec = api.ask("GET", "/openapi.json").json
    for path, operations in spec["paths"].items():
        if (posted := operations.get("post")) and {"BearerAuth": []} in posted["security"]:
            named = [one["name"] for one in posted.get("parameters", [])]
            assert "Idempotency-Key" in named, path


# ── ETags ────────────────────────────────────────────────────────────────────────────────────────
def test_a_change_is_made_only_to_the_state_that_was_seen(person: Person) -> None:
    path = f"/v1/agents/{agents_made(person)}"
    seen = person.ask("GET", path).headers["etag"]
    changed = person.ask("PATCH", path, {"agent_name": "First"}, headers={"If-Match": seen})
    assert (changed.status, changed.json["agent_name"]) == (200, "First")
    assert changed.headers["etag"] != seen
    late = person.ask("PATCH", path, {"agent_name": "Second"}, headers={"If-Match": seen})
    assert late.status == 412
    for tag in (f"W/{changed.headers['etag']}", '"x", "y"'):
        assert person.ask("PATCH", path, {"agent_name": "x"}, headers={"If-Match": tag}).status == 412
    assert person.ask("PATCH", path, {"agent_name": "x"}, headers={"If-Match": "junk"}).status == 400
    assert person.ask("GET", path).json["agent_name"] == "First"
    assert person.ask("DELETE", path, headers={"If-Match": seen}).status == 412
    several = f'"x", {changed.headers["etag"]}'
    assert person.ask("PATCH", path, {"agent_name": "Third"}, headers={"If-Match": several}).status == 200
    assert person.ask("PATCH", path, {"agent_name": "Last"}, headers={"If-Match": "*"}).status == 200
    assert person.ask("PATCH", path, {"agent_name": "Free"}).status == 200
    now = person.ask("GET", path).headers["etag"]
    assert person.ask("GET", path, headers={"If-None-Match": now}).status == 304
    assert person.ask("DELETE", path, headers={"If-Match": now}).status == 204


def test_of_two_who_change_at_once_one_is_told(person: Person) -> None:
    path = f"/v1/agents/{agents_made(person)}"
    seen = person.ask("GET", path).headers["etag"]

    def change(name: str) -> int:
        return person.ask("PATCH", path, {"agent_name": name}, headers={"If-Match": seen}).status

    with ThreadPoolExecutor(6) as pool:
        statuses = sorted(pool.map(change, [f"Name {number}" for number in range(6)]))
    assert statuses == [200, 412, 412, 412, 412, 412]
