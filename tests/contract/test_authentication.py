"""Signing in, staying signed in, and what is refused."""

import base64
import json
import time
from typing import Any

import jwt
import pytest

from tests.support.api import PASSWORD, Api, Person


def test_a_new_user_is_signed_in_at_once(api: Api) -> None:
    reply = api.ask("POST", "/v1/auth/signup", {"email": "Ada@Example.com", "password": PASSWORD})
    assert reply.status == 200
    assert reply.json["token_type"] == "bearer"
    assert reply.json["expires_in"] == 3600
    me = api.ask("GET", "/v1/auth/me", token=reply.json["access_token"])
    assert me.json["email"] == "ada@example.com"
    assert me.json == api.ask("GET", "/v1/users/me", token=reply.json["access_token"]).json
    assert "password" not in me.raw.decode()


def test_an_email_belongs_to_one_user_however_it_is_written(api: Api, person: Person) -> None:
    reply = api.ask("POST", "/v1/auth/register", {"email": person.email.upper(), "password": PASSWORD})
    assert (reply.status, reply.detail) == (409, "This email is already registered")


@pytest.mark.parametrize(
    "body",
    [
        {"email": "nobody", "password": PASSWORD},
        {"email": "a@@example.com", "password": PASSWORD},
        {"email": "a b@example.com", "password": PASSWORD},
        {"email": "a" * 250 + "@example.com", "password": PASSWORD},
        {"email": "a@example.com", "password": "short"},
        {"email": "a@example.com", "password": "é" * 37},
        {"email": "a@example.com"},
        {"email": "a@example.com", "password": None},
        {"email": ["a@example.com"], "password": PASSWORD},
    ],
)
def test_a_bad_signup_is_named_field_by_field(api: Api, body: dict[str, Any]) -> None:
    reply = api.ask("POST", "/v1/auth/register", body)
    assert reply.status == 422
    assert all(part["loc"][0] == "body" and part["msg"] and part["type"] for part in reply.detail)


def test_a_login_needs_the_right_password_and_says_no_more(api: Api, person: Person) -> None:
    right = api.ask("POST", "/v1/auth/login", {"email": person.email.upper(), "password": PASSWORD})
    wrong = api.ask("POST", "/v1/auth/login", {"email": person.email, "password": "wrong horse"})
    nobody = api.ask("POST", "/v1/auth/login", {"email": "nobody@example.com", "password": PASSWORD})
    assert right.status == 200
    assert (wrong.status, wrong.raw) == (nobody.status, nobody.raw) == (401, wrong.raw)


def test_logging_out_ends_the_access_token_and_the_refresh_token(api: Api, person: Person) -> None:
    assert person.ask("POST", "/v1/auth/logout").status == 200
    assert person.ask("GET", "/v1/auth/me").status == 401
    refresh = {"refresh_token": person.credentials["refresh_token"]}
    assert api.ask("POST", "/v1/auth/refresh", refresh).status == 401


def test_a_refresh_token_is_good_once_and_a_second_use_ends_the_login(api: Api, person: Person) -> None:
    first = {"refresh_token": person.credentials["refresh_token"]}
    renewed = api.ask("POST", "/v1/auth/refresh", first).json
    assert api.ask("GET", "/v1/auth/me", token=renewed["access_token"]).status == 200

    assert api.ask("POST", "/v1/auth/refresh", first).status == 401

    assert api.ask("GET", "/v1/auth/me", token=renewed["access_token"]).status == 401
    assert api.ask("POST", "/v1/auth/refresh", {"refresh_token": renewed["refresh_token"]}).status == 401


def test_another_login_of_the_same_user_survives_a_theft(api: Api, person: Person) -> None:
    other = api.ask("POST", "/v1/auth/login", {"email": person.email, "password": PASSWORD}).json
    stolen = {"refresh_token": person.credentials["refresh_token"]}
    for _ in range(2):
        api.ask("POST", "/v1/auth/refresh", stolen)
    assert api.ask("GET", "/v1/auth/me", token=other["access_token"]).status == 200


def _part(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def _claims(person: Person) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(person.token, options={"verify_signature": False})
    return claims


def test_a_token_that_we_did_not_sign_is_refused(api: Api, person: Person) -> None:
    claims = _claims(person)
    secret = api.secrets["jwt_secret"]
    header, payload, signature = person.token.split(".")
    other = {**claims, "sub": "user_000000000000"}
    forged = {
        "none": f"{_part({'alg': 'none', 'typ': 'JWT'})}.{payload}.",
        "None": f"{_part({'alg': 'None', 'typ': 'JWT'})}.{payload}.{signature}",
        "tampered": f"{header}.{_part(other)}.{signature}",
        "unsigned": f"{header}.{payload}.",
        "another key": jwt.encode(claims, "x" * 64, "HS256"),
        "another algorithm": jwt.encode(claims, secret, "HS512"),
        "expired": jwt.encode({**claims, "exp": int(time.time()) - 1}, secret, "HS256"),
        "another issuer": jwt.encode({**claims, "iss": "somebody"}, secret, "HS256"),
        "another audience": jwt.encode({**claims, "aud": "livekit"}, secret, "HS256"),
        "without expiry": jwt.encode({k: v for k, v in claims.items() if k != "exp"}, secret, "HS256"),
        "of nobody": jwt.encode({**claims, "sub": "user_000000000000"}, secret, "HS256"),
        "of no login": jwt.encode({**claims, "sid": "login_0000000000000000"}, secret, "HS256"),
        "not a token": "a.b.c",
        "long": "a" * 5000,
    }
    accepted = [
        name for name, token in forged.items() if api.ask("GET", "/v1/auth/me", token=token).status != 401
    ]
    assert accepted == []
    assert api.ask("GET", "/v1/auth/me", token=jwt.encode(claims, secret, "HS256")).status == 200


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Basic YTpi", "bearer", "Bearer  ", "Bearer sk_"]
)
def test_a_request_without_credentials_is_a_401_that_says_how(api: Api, header: str) -> None:
    reply = api.ask("GET", "/v1/agents", headers={"Authorization": header} if header else {})
    assert reply.status == 401
    assert reply.headers["www-authenticate"] == "Bearer"
    assert isinstance(reply.detail, str)


def test_a_profile_changes_only_where_it_was_sent(person: Person) -> None:
    changes = {
        "full_name": "Ada",
        "timezone": None,
        "balance_usd": "1000",
        "user_id": "user_x",
        "email": "x@y.zz",
    }
    changed = person.ask("PATCH", "/v1/users/me", changes)
    assert changed.status == 200
    profile = changed.json
    assert profile["full_name"] == "Ada"
    assert (profile["timezone"], profile["balance_usd"]) == ("Europe/Istanbul", "0.000000")
    assert (profile["email"], profile["user_id"]) == (person.email, person.credentials["user"]["user_id"])


@pytest.mark.parametrize(
    ("signed_up", "signs_in"),
    [
        ("Ada@xn--bcher-kva.example", "ada@xn--bcher-kva.example"),
        ("Bea@bücher.example", "bea@xn--bcher-kva.example"),
        ("zoe\u0301@example.com", "zo\u00e9@example.com"),
        ("zoa\u0308@example.com", "zoa\u0308@example.com"),
    ],
)
def test_an_address_signs_in_as_it_signed_up(api: Api, signed_up: str, signs_in: str) -> None:
    made = api.ask("POST", "/v1/auth/register", {"email": signed_up, "password": PASSWORD})
    assert made.status == 200, made.raw
    assert api.ask("POST", "/v1/auth/login", {"email": signs_in, "password": PASSWORD}).status == 200
