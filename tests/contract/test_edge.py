"""What every request meets: ids, headers, errors in one shape, bodies that are no JSON, the spec."""

import json
import re
import socket
from typing import Any

import pytest

from tests.support.api import AGENT, Api, Person


def test_every_answer_carries_a_request_id_and_so_does_its_log_line(api: Api) -> None:
    seen = set()
    for path in (
        "/ready",
        "/nowhere",
        "/v1/agents",
        "/openapi.json",
    ):  # the first: nobody could answer a call
        request_id = api.ask("GET", path).headers["x-request-id"]
        assert request_id.startswith("req_")
        seen.add(request_id)
    assert len(seen) == 4
    assert (
        api.ask("GET", "/health", headers={"X-Request-ID": "trace-12345"}).headers["x-request-id"]
        == "trace-12345"
    )
    bad = api.ask("GET", "/health", headers={"X-Request-ID": "a b\tc"}).headers["x-request-id"]
    assert bad.startswith("req_")
    lines = [json.loads(line) for line in api.log.read_text().splitlines()]
    answered = [line for line in lines if line["message"] == "request answered"]
    assert seen <= {line.get("request_id") for line in answered}
    assert "/health" not in {line["route"] for line in answered}, "asked every few seconds, and no news"


def test_every_answer_carries_the_security_headers(api: Api) -> None:
    for path in ("/health", "/nowhere"):
        headers = api.ask("GET", path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["cache-control"] == "no-store"
        assert "aiohttp" not in headers["server"]


def test_other_origins_get_nothing(api: Api) -> None:
    origin = {"Origin": "https://elsewhere.example"}
    assert "access-control-allow-origin" not in api.ask("GET", "/health", headers=origin).headers
    preflight = api.ask("OPTIONS", "/v1/agents", headers={**origin, "Access-Control-Request-Method": "POST"})
    assert preflight.status == 405
    assert "access-control-allow-origin" not in preflight.headers


def test_what_is_not_there_is_said_in_the_contracts_shape(api: Api) -> None:
    nowhere = api.ask("GET", "/v1/nowhere")
    assert (nowhere.status, nowhere.json) == (404, {"detail": "Not Found"})
    wrong = api.ask("PUT", "/v1/agents")
    assert (wrong.status, wrong.json) == (405, {"detail": "Method Not Allowed"})
    assert set(wrong.headers["allow"].split(",")) == {"GET", "HEAD", "POST"}


BODIES = {
    "not json": b"agent_name=x",
    "cut off": b'{"agent_name": "x"',
    "invalid utf-8": b'{"agent_name": "\xff\xfe"}',
    "half a pair": b'{"agent_name": "\\ud800"}',
    "an escaped nul": b'{"agent_name": "a\\u0000b"}',
    "a raw nul": b'{"agent_name": "a\x00b"}',
    "not a number": b'{"agent_name": NaN}',
    "a list": b"[]",
    "a text": b'"x"',
    "deep": b"[" * 100_000,
    "deep objects": b'{"metadata":' * 5_000 + b"1" + b"}" * 5_000,
    "a huge number": b'{"agent_name": "x", "reminder_max_count": 1' + b"0" * 5000 + b"}",
    "utf-16": '{"agent_name": "x"}'.encode("utf-16"),
    "nothing": b"",
}


@pytest.mark.parametrize("name", BODIES)
def test_a_body_that_is_no_json_is_a_422(person: Person, name: str) -> None:
    reply = person.ask("POST", "/v1/agents", raw=BODIES[name])
    assert reply.status == 422, reply.raw[:500]
    assert all({"loc", "msg", "type", "input"} <= set(part) for part in reply.detail)
    assert person.ask("GET", "/v1/agents").json == []


def test_an_escaped_backslash_before_u0000_is_no_nul(person: Person) -> None:
    name = "a regex: \\u0000"
    assert person.made("/v1/agents", {**AGENT, "agent_name": name})["agent_name"] == name


def test_a_body_over_a_megabyte_is_a_413(person: Person) -> None:
    raw = json.dumps({**AGENT, "metadata": {"x": "y" * 1024 * 1024}}).encode()
    reply = person.ask("POST", "/v1/agents", raw=raw)
    assert reply.status == 413
    assert isinstance(reply.detail, str)
    almost = json.dumps({**AGENT, "metadata": {"x": "y" * 1_000_000}}).encode()
    assert person.ask("POST", "/v1/agents", raw=almost).status == 201


def test_a_body_whose_length_is_not_said_is_bounded_too(api: Api, person: Person) -> None:
    host, port = api.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(
            b"POST /v1/agents HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
            b"Authorization: Bearer " + person.token.encode() + b"\r\n\r\n"
        )
        chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
        try:
            for _ in range(40):
                connection.sendall(chunk)
        except OSError:
            pass  # it stopped listening, as it may
        assert b" 413 " in connection.recv(4096).split(b"\r\n")[0]


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=1001", "limit=x", "offset=-1", "offset=99999999999999999999", "limit=1%00", "limit="],
)
def test_a_bad_query_is_a_422(person: Person, query: str) -> None:
    reply = person.ask("GET", f"/v1/agents?{query}")
    assert reply.status == 422
    assert reply.detail[0]["loc"][0] == "query"


def test_health_says_how_it_is_and_ready_says_why_not(api: Api) -> None:
    health = api.ask("GET", "/health")
    assert health.status == 200
    assert health.json["status"] == "healthy"
    assert health.json["service"] == "call2me-api"
    assert health.json["checks"] == {"database": "up", "cache": "up"}
    assert api.ask("GET", "/health/live").json == {"status": "alive"}
    for path in ("/ready", "/health/ready"):
        ready = api.ask("GET", path)
        assert ready.status == 503  # no livekit-server, no worker
        assert ready.json["status"] == "not_ready"
        assert ready.json["checks"]["database"] == "up"
        assert "livekit" in ready.detail
        assert "worker" in ready.detail


def test_head_is_answered_like_get_without_a_body(api: Api) -> None:
    reply = api.ask("HEAD", "/health")
    assert (reply.status, reply.raw) == (200, b"")


def test_nothing_a_person_said_reaches_the_log(api: Api, person: Person) -> None:
    secret = "purple-elephant"
    person.made("/v1/agents", {**AGENT, "agent_name": secret, "begin_message": secret})
    person.ask("POST", "/v1/agents", {**AGENT, "voice_speed": secret})
    api.ask("POST", "/v1/auth/login", {"email": f"{secret}@example.com", "password": secret})
    api.ask("GET", f"/v1/agents?limit={secret}", token=person.token)
    log = api.log.read_text()
    assert secret not in log
    assert person.token not in log
    assert person.email not in log


def _walk(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [value, *(found for inner in value.values() for found in _walk(inner))]
    return [found for inner in value for found in _walk(inner)] if isinstance(value, list) else []


def test_the_openapi_document_is_whole(api: Api) -> None:
    spec = api.ask("GET", "/openapi.json").json
    assert spec["openapi"] == "3.1.0"
    assert spec["components"]["securitySchemes"]["BearerAuth"]["scheme"] == "bearer"
    for node in _walk(spec):
        if isinstance(reference := node.get("$ref"), str):
            name = reference.removeprefix("#/components/schemas/")
            assert name in spec["components"]["schemas"], reference
    operations = [
        (path, method, operation)
        for path, methods in spec["paths"].items()
        for method, operation in methods.items()
    ]
    ids = [operation["operationId"] for _, _, operation in operations]
    assert len(ids) == len(set(ids))
    for path, _method, operation in operations:
        assert operation["summary"]
        named = {p["name"] for p in operation.get("parameters", []) if p["in"] == "path"}
        assert named == set(re.findall(r"{(\w+)}", path))
        assert any(status.startswith("2") for status in operation["responses"])
        if operation["security"]:
            assert "401" in operation["responses"]
        if "requestBody" in operation or operation.get("parameters"):
            assert "422" in operation["responses"]
    create = spec["paths"]["/v1/agents"]["post"]
    assert "201" in create["responses"]
    assert "404" in spec["paths"]["/v1/agents/{agent_id}"]["get"]["responses"]
    schema = spec["components"]["schemas"]["AgentCreate"]
    assert set(schema["required"]) == {"agent_name", "voice_id", "response_engine"}
    assert schema["properties"]["voice_speed"]["maximum"] == 2.0


@pytest.mark.parametrize("text", ["%ff", "%ED%A0%80", "%00", "%F0%9F%A6%B7", "'%20OR%201=1--"])
def test_odd_text_in_an_address_is_never_our_fault(api: Api, person: Person, text: str) -> None:
    for path in (f"/v1/agents/{text}", f"/v1/agents?limit={text}", f"/v1/calls?agent_id={text}", f"/{text}"):
        assert person.ask("GET", path).status < 500
    assert api.ask("GET", "/v1/agents", headers={"Authorization": "Bearer sk_\xff\xfe"}).status == 401


NO_NUMBERS = ("NaN", "-Infinity", "1e999", "9" * 400 + ".5")


@pytest.mark.parametrize("number", NO_NUMBERS)
def test_a_number_that_json_has_not_is_a_422_in_free_form_objects_too(person: Person, number: str) -> None:
    body = json.dumps({**AGENT, "metadata": {"price": "HERE"}}).replace('"HERE"', number).encode()
    refused = person.ask("POST", "/v1/agents", raw=body)
    assert (refused.status, refused.detail[0]["type"]) == (422, "finite_number")
    assert person.ask("GET", "/v1/agents").json == []


def test_words_that_look_like_such_numbers_are_words(person: Person) -> None:
    said = {"note": "NaN, Infinity and 1e999", "digits": 9 * 10**300}
    assert person.made("/v1/agents", {**AGENT, "metadata": said})["metadata"] == said


def test_a_body_that_is_not_encoded_as_it_says_is_a_400(api: Api) -> None:
    reply = api.ask("POST", "/v1/auth/login", raw=b"no gzip", headers={"Content-Encoding": "gzip"})
    assert reply.status == 400
    assert reply.detail == "The request body is not encoded as its headers say"


UNREADABLE = {
    "no version that there is": b"GET / HTTP/9.9\r\n\r\n",
    "a header that is too long": b"GET /health HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
    "a method that is none": b"BREW /health HTTP/1.1\r\nHost: x\r\n\r\n",
    "chunks that are none": (
        b"POST /v1/auth/login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\njunk"
    ),
    "two lengths": (
        b"POST /v1/auth/login HTTP/1.1\r\nHost: x\r\n"
        b"Content-Length: 10\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
    "an encoding that we do not know": (
        b"POST /v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Encoding: br\r\nContent-Length: 4\r\n\r\njunk"
    ),
    "an expectation that we do not know": (
        b"POST /v1/auth/login HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        b"Expect: wonders\r\nContent-Length: 2\r\n\r\n{}"
    ),
}


@pytest.mark.parametrize("what", UNREADABLE)
def test_what_cannot_be_read_as_a_request_is_refused_in_the_contracts_shape(api: Api, what: str) -> None:
    host, port = api.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(UNREADABLE[what])
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.split()[1][:1] == b"4"
    assert isinstance(json.loads(body)["detail"], str)
    headers = head.decode().lower()
    assert "x-request-id: req_" in headers
    assert "aiohttp" not in headers
    assert "x-content-type-options: nosniff" in headers
