"""Settings as the running api obeys them: closed sign-up, limits, origins, proxies, pages."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from api.settings import Settings
from api.up import prepare
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


def test_guessing_a_password_ends_after_twenty_wrong_ones_wherever_they_come_from(guarded: Api) -> None:
    body = {"email": "guessed@example.com", "password": "guess"}
    asked = [
        guarded.ask("POST", "/v1/auth/login", body, headers=_from(f"192.0.2.{20 + number}"))
        for number in range(25)
    ]
    assert [reply.status for reply in asked[:20]] == [401] * 20
    assert asked[0].headers["x-ratelimit-limit"] == "30"
    assert asked[0].headers["x-ratelimit-remaining"] == "29"
    refused = asked[-1]
    assert refused.status == 429
    assert refused.detail == "Rate limit exceeded. Please wait before retrying."
    assert int(refused.headers["retry-after"]) >= 1
    other = {**body, "email": "other@example.com"}
    assert guarded.ask("POST", "/v1/auth/login", other, headers=_from("192.0.2.3")).status == 401


def test_one_address_asks_thirty_times_a_minute_over_all_that_is_public(guarded: Api) -> None:
    asked = [
        guarded.ask(method, path, body, headers=_from("192.0.2.4"))
        for _ in range(20)
        for method, path, body in (
            ("GET", "/v1/pricing", None),
            ("POST", "/v1/auth/refresh", {"refresh_token": "x"}),
        )
    ]
    # A minute may have begun in between, which lets a few more in.
    assert {reply.status for reply in asked[:30]} == {200, 401}
    assert 429 in {reply.status for reply in asked[30:]}
    assert guarded.ask("GET", "/v1/pricing", headers=_from("192.0.2.5")).status == 200
    # Who says of themselves that they are somebody else is believed only as far as a proxy says it.
    lying = {"X-Forwarded-For": "192.0.2.200, 192.0.2.4"}
    assert guarded.ask("GET", "/v1/pricing", headers=lying).status == 429


def test_one_user_has_one_number_over_every_login_and_key(guarded: Api) -> None:
    settings = Settings.load(guarded.environment)
    prepare.add_user(settings, "busy@example.com", None, PASSWORD)
    prepare.limit(settings, "busy@example.com", 40)
    login = {"email": "busy@example.com", "password": PASSWORD}
    tokens = [
        guarded.ask("POST", "/v1/auth/login", login, headers=_from("192.0.2.6")).json["access_token"]
        for _ in range(2)
    ]
    slow = guarded.ask("POST", "/v1/api-keys", {"name": "slow", "rate_limit": 5}, token=tokens[0])
    assert (slow.status, slow.headers["x-ratelimit-limit"]) == (201, "40")
    key = slow.json["api_key"]
    by_key = [guarded.ask("GET", "/v1/agents", token=key) for _ in range(8)]
    assert [reply.status for reply in by_key].count(200) in {5, 6}
    assert by_key[0].headers["x-ratelimit-limit"] == "5"
    used = 9
    by_login = [guarded.ask("GET", "/v1/agents", token=tokens[n % 2]) for n in range(40)]
    allowed = [reply.status for reply in by_login].count(200)
    assert 40 - used <= allowed <= 40 - used + 4
    # The key has nothing left either: it is the same user.
    assert guarded.ask("GET", "/v1/agents", token=key).status == 429


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
