"""Functions over the API: which names may be saved, and trying one before anybody calls."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.support.api import AGENT, Api, Person, running_api
from tests.support.rehearsed_worker import RehearsedWorker

SIGNATURE = {"name": "book_table", "description": "Book.", "parameters": {"type": "object", "properties": {}}}


class Kitchen(BaseHTTPRequestHandler):
    """Says what it was asked; `/slow` takes its time, `/closed` refuses."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if self.path == "/slow":
            time.sleep(10)
        told = json.dumps({"asked": body, "token": self.headers.get("X-Token", "")}) + "x" * 3000
        self.send_response(409 if self.path == "/closed" else 200)
        self.end_headers()
        self.wfile.write(told.encode())

    do_PUT = do_POST  # noqa: N815 - its parent's word

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its parent's word
        pass


@pytest.fixture(scope="module")
def kitchen() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Kitchen)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def own_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with running_api(tmp_path_factory.mktemp("functions"), CALL2ME_ALLOW_HOSTS="127.0.0.1") as api:
        yield api


def engine(*names: str) -> dict[str, Any]:
    functions = [{"type": "python", "name": name} for name in names]
    return {**AGENT["response_engine"], "functions": functions}


def tried(person: Person, **asked: Any) -> Any:
    agent = person.made("/v1/agents", AGENT)["agent_id"]
    deadline = time.monotonic() + 20
    while True:  # what a worker told another process is read from the database a moment later
        reply = person.ask("POST", f"/v1/agents/{agent}/test-function", asked)
        if reply.status != 503 or time.monotonic() > deadline:
            assert reply.status == 200, reply.raw
            return reply.json
        time.sleep(0.2)


def test_names_are_accepted_until_a_worker_tells_and_then_checked(own_api: Api) -> None:
    person = own_api.person()
    early = person.made("/v1/agents", {**AGENT, "response_engine": engine("not_there_yet")})
    with RehearsedWorker(own_api):
        person.made("/v1/agents", {**AGENT, "response_engine": engine("not_told_either")})
    with RehearsedWorker(own_api, functions=[SIGNATURE]):
        person.made("/v1/agents", {**AGENT, "response_engine": engine("book_table")})
        path = f"/v1/agents/{early['agent_id']}"
        for method, where in (("POST", "/v1/agents"), ("PATCH", path)):
            refused = person.ask(method, where, {**AGENT, "response_engine": engine("book_table", "gone")})
            assert refused.status == 422
            (wrong,) = refused.detail
            assert wrong["loc"] == ["body", "response_engine", "functions", 1, "name"]
            assert wrong["msg"].startswith("No worker has a function gone; there are: book_table. ")
        assert person.ask("PATCH", path, {"agent_name": "Still fine"}).status == 200
    # What the last workers had is still known while none is there.
    assert person.ask("POST", "/v1/agents", {**AGENT, "response_engine": engine("gone")}).status == 422


def test_an_address_is_tried_as_a_call_would(own_api: Api, kitchen: str) -> None:
    person = own_api.person()
    found = tried(person, url=f"{kitchen}/book", method="PUT", headers={"X-Token": "t"}, sample_args={"n": 2})
    assert (found["ok"], found["status_code"], found.get("error")) == (True, 200, None)
    assert found["body_preview"].startswith('{"asked": "{\\"n\\": 2}", "token": "t"}xxx')
    assert len(found["body_preview"]) == 1500
    refused = tried(person, url=f"{kitchen}/closed")
    assert (refused["ok"], refused["status_code"]) == (False, 409)
    slow = tried(person, url=f"{kitchen}/slow")
    assert slow["ok"] is False
    assert "within 8 seconds" in slow["error"]
    assert 7_000 < slow["elapsed_ms"] < 12_000


def test_what_is_private_or_not_https_is_not_tried(own_api: Api) -> None:
    person = own_api.person()
    for url in (
        "https://10.0.0.1/x",
        "http://example.com/x",
        "https://localhost/x",
        "https://169.254.169.254/",
    ):
        found = tried(person, url=url)
        assert found["ok"] is False
        assert found["error"]


def test_an_address_is_asked_for_a_page_and_never_a_private_one(own_api: Api, kitchen: str) -> None:
    person = own_api.person()
    path = "/v1/functions/execute"
    agent = person.made("/v1/agents", AGENT)["agent_id"]
    asked = {"url": f"{kitchen}/book", "body": {"n": 2}, "headers": {"X-Token": "t"}}
    found = person.ask("POST", path, asked).json
    assert (found["success"], found["status_code"], found["error"]) == (True, 200, None)
    assert found["body"].startswith('{"asked": "{\\"n\\": 2}", "token": "t"}xxx')
    refused = person.ask("POST", path, {"url": f"{kitchen}/closed", "method": "PUT"}).json
    assert (refused["success"], refused["status_code"]) == (False, 409)
    slow = person.ask("POST", path, {"url": f"{kitchen}/slow", "timeout_ms": 200}).json
    assert (slow["success"], slow["status_code"]) == (False, 0)
    for url in ("https://10.0.0.1/x", "http://example.com/x", "https://localhost/x", "https://[::1]/"):
        found = person.ask("POST", path, {"url": url}).json
        assert (found["success"], found["status_code"], bool(found["error"])) == (False, 0, True)
    for wrong in ({}, {"url": ""}, {"url": "x", "timeout_ms": 1}, {"url": "https://a.b", "method": "TRACE"}):
        assert person.ask("POST", path, wrong).status == 422
    for headers in ({"X-A": "b\r\nX-C: d"}, {"X A": "b"}, {"Host": "internal"}, {"X-A": "ü\u0100"}):
        for where in (path, f"/v1/agents/{agent}/test-function"):
            assert person.ask("POST", where, {**asked, "headers": headers}).status == 422, (where, headers)
    assert own_api.ask("POST", path, asked).status == 401


def test_a_developers_function_is_tried_by_a_worker(own_api: Api) -> None:
    person = own_api.person()
    answers: list[dict[str, Any]] = [
        {"ok": True, "result": "Booked for 2.", "elapsed_ms": 12.4},
        {"ok": False, "error": "book_table failed; nothing more is known. (ValueError: no)", "elapsed_ms": 3},
    ]
    with RehearsedWorker(own_api, functions=[SIGNATURE], tries=lambda order: answers.pop(0)) as worker:
        fine = tried(person, name="book_table", sample_args={"size": 2})
        assert (fine["ok"], fine["body_preview"], fine["elapsed_ms"]) == (True, "Booked for 2.", 12)
        bad = tried(person, name="book_table", sample_args={})
        assert (bad["ok"], bad["error"].startswith("book_table failed")) == (False, True)
        assert worker.orders[0]["arguments"] == {"size": 2}
        agent = person.made("/v1/agents", AGENT)["agent_id"]
        unknown = person.ask("POST", f"/v1/agents/{agent}/test-function", {"name": "nothing"})
        assert unknown.status == 503


def test_a_function_is_tried_by_a_worker_that_another_process_holds(own_api: Api) -> None:
    person = own_api.person()
    tries = [{"ok": True, "result": "Booked \x00 for 2.", "elapsed_ms": 12.4}]
    with (
        running_api(own_api.home, CALL2ME_ALLOW_HOSTS="127.0.0.1") as another,
        RehearsedWorker(another, functions=[SIGNATURE], tries=lambda order: tries.pop(0)) as worker,
    ):
        fine = tried(person, name="book_table", sample_args={"size": 2})
        assert (fine["ok"], fine["body_preview"]) == (True, "Booked \x00 for 2.")
        assert len([order for order in worker.orders if order["kind"] == "try_function"]) == 1


def test_an_agents_own_endpoint_is_held_to_its_schema(own_api: Api, kitchen: str) -> None:
    person = own_api.person()
    hook = {
        "name": "book",
        "url": f"{kitchen}/book",
        "parameters": {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}},
    }
    own = {**AGENT["response_engine"], "functions": [hook]}
    agent = person.made("/v1/agents", {**AGENT, "response_engine": own})["agent_id"]
    path = f"/v1/agents/{agent}/test-function"
    wrong = person.ask("POST", path, {"name": "book", "sample_args": {"n": "two"}}).json
    assert (wrong["ok"], "n: type must be" in wrong["error"]) == (False, True)


UNREACHABLE = (
    "https://10.0.0.1/x",
    "https://localhost/x",
    "http://example.com/x",
    "https://[::1]/x",
    "https://x:22/",
)


@pytest.mark.parametrize("url", UNREACHABLE)
def test_an_address_that_no_call_could_reach_is_not_saved(own_api: Api, url: str) -> None:
    person = own_api.person()
    hook = {"name": "f", "url": url, "parameters": {"type": "object"}}
    server = {"name": "m", "url": url}
    for group, entry in (("functions", hook), ("mcp_servers", server)):
        with_it = {**AGENT["response_engine"], group: [entry]}
        refused = person.ask("POST", "/v1/agents", {**AGENT, "response_engine": with_it})
        assert refused.status == 422
        assert refused.detail[0]["loc"] == ["body", "response_engine", group, 0, "url"]
    socket = {"type": "custom-llm", "llm_websocket_url": url.replace("http", "ws")}
    refused = person.ask("POST", "/v1/agents", {**AGENT, "response_engine": socket})
    assert refused.detail[0]["loc"][-1] == "llm_websocket_url"


def test_a_host_that_the_operator_named_may_be_private_and_without_tls(own_api: Api, kitchen: str) -> None:
    person = own_api.person()
    hook = {
        "name": "f",
        "url": f"{kitchen}/book",
        "parameters": {"type": "object"},
        "headers": {"X-Token": "t"},
    }
    own = {**AGENT["response_engine"], "functions": [hook]}
    agent = person.made("/v1/agents", {**AGENT, "response_engine": own})["agent_id"]
    found = person.ask(
        "POST", f"/v1/agents/{agent}/test-function", {"name": "f", "sample_args": {"n": 1}}
    ).json
    assert found["ok"] is True
    assert '"token": "t"' in found["body_preview"]  # with the secrets that nobody is shown


def test_nothing_to_try_and_somebody_elses_agent(own_api: Api) -> None:
    person, other = own_api.person(), own_api.person()
    agent = person.made("/v1/agents", AGENT)["agent_id"]
    missing = person.ask("POST", f"/v1/agents/{agent}/test-function", {})
    assert (missing.status, missing.detail[0]["loc"]) == (422, ["body", "url"])
    bad_header = {"url": "https://example.com", "headers": {"Bad Name": "x"}}
    assert person.ask("POST", f"/v1/agents/{agent}/test-function", bad_header).status == 422
    assert other.ask("POST", f"/v1/agents/{agent}/test-function", {"url": "https://x.io"}).status == 404
