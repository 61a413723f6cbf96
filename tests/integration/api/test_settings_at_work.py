"""Settings as the running api obeys them: closed sign-up, limits, origins, proxies, pages."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.api import PASSWORD, Api, running_api


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """An api with everything closed that can be."""
    with running_api(
        tmp_path_factory.mktemp("guarded"),
        CALL2ME_SIGNUP="closed",
        CALL2ME_RATE_LIMITS="on",
        CALL2ME_TRUSTED_PROXIES="1",
        CALL2ME_CORS_ORIGINS="https://app.example.com",
    ) as api:
        yield api


def _from(address: str) -> dict[str, str]:
    return {"X-Forwarded-For": f"203.0.113.99, {address}"}


def test_signing_up_can_be_closed(guarded: Api) -> None:
    body = {"email": "a@example.com", "password": PASSWORD}
    reply = guarded.ask("POST", "/v1/auth/register", body, headers=_from("192.0.2.1"))
    assert reply.status == 403
    assert "closed" in reply.detail


def test_guessing_passwords_is_slowed_for_the_one_who_guesses(guarded: Api) -> None:
    body = {"email": "guessed@example.com", "password": "guess"}
    # A bucket fills while it is emptied, so a slow machine gets a few more guesses.
    asked = [guarded.ask("POST", "/v1/auth/login", body, headers=_from("192.0.2.2"))]
    while asked[-1].status != 429 and len(asked) < 60:
        asked.append(guarded.ask("POST", "/v1/auth/login", body, headers=_from("192.0.2.2")))
    assert {reply.status for reply in asked[:30]} == {401}
    assert asked[0].headers["x-ratelimit-limit"] == "30"
    assert asked[0].headers["x-ratelimit-remaining"] == "29"
    refused = asked[-1]
    assert refused.status == 429
    assert refused.detail == "Rate limit exceeded. Please wait before retrying."
    assert int(refused.headers["retry-after"]) >= 1
    assert refused.headers["x-ratelimit-remaining"] == "0"
    # Who guesses for the same user from elsewhere is slowed as well; others are not.
    assert guarded.ask("POST", "/v1/auth/login", body, headers=_from("192.0.2.3")).status == 429
    other = {**body, "email": "other@example.com"}
    assert guarded.ask("POST", "/v1/auth/login", other, headers=_from("192.0.2.3")).status == 401


def test_health_is_never_limited(guarded: Api) -> None:
    assert {guarded.ask("GET", "/health/live").status for _ in range(150)} == {200}


def test_only_the_named_origin_is_let_in(guarded: Api) -> None:
    preflight = {"Access-Control-Request-Method": "POST"}
    allowed = guarded.ask("OPTIONS", "/v1/agents", headers={"Origin": "https://app.example.com", **preflight})
    assert allowed.status == 204
    assert allowed.headers["access-control-allow-origin"] == "https://app.example.com"
    assert "Authorization" in allowed.headers["access-control-allow-headers"]
    assert "access-control-allow-credentials" not in allowed.headers
    refused = guarded.ask("GET", "/v1/agents", headers={"Origin": "https://app.example.com"})
    assert refused.status == 401
    assert refused.headers["access-control-allow-origin"] == "https://app.example.com"
    for origin in ("https://app.example.com.evil.example", "null", "http://app.example.com"):
        other = guarded.ask("OPTIONS", "/v1/agents", headers={"Origin": origin, **preflight})
        assert "access-control-allow-origin" not in other.headers


def test_the_log_is_json_with_one_line_for_each_request(guarded: Api) -> None:
    request_id = guarded.ask("GET", "/v1/agents?token=sesame").headers["x-request-id"]
    lines = [line for line in Path(guarded.log).read_text().splitlines() if request_id in line]
    assert len(lines) == 1
    assert '"status": 401' in lines[0]
    assert "sesame" not in lines[0]
