"""Signing in with Google: tokens of a stand-in that signs as Google does, and everything that is not one."""

import time
from collections.abc import Iterator

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.support.api import PASSWORD, Api, Reply, running_api
from tests.support.google import CLIENT_ID, Google, google
from tests.support.letters import token_in, wait_for


@pytest.fixture(scope="module")
def stand_in() -> Iterator[Google]:
    """Google's part."""
    with google() as made:
        yield made


@pytest.fixture(scope="module")
def api(stand_in: Google, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """An api that believes the stand-in."""
    with running_api(
        tmp_path_factory.mktemp("google"),
        CALL2ME_GOOGLE_CLIENT_ID=f"other.example, {CLIENT_ID}",
        CALL2ME_GOOGLE_KEYS_URL=stand_in.url,
        CALL2ME_ALLOW_HOSTS=stand_in.url.split("/")[2],
    ) as running:
        yield running


def sign_in(api: Api, credential: str) -> Reply:
    return api.ask("POST", "/v1/auth/google", {"credential": credential})


def test_somebody_new_is_signed_up_and_found_again(api: Api, stand_in: Google) -> None:
    first = sign_in(api, stand_in.token(sub="new", email="New@gmail.example.com"))
    assert first.status == 200
    assert first.json["user"]["email"] == "new@gmail.example.com"
    assert first.json["user"]["full_name"] == "Ada"
    assert first.json["user"]["email_verified"] is True
    # Who they are is Google's subject, whatever their address is by now.
    again = sign_in(api, stand_in.token(sub="new", email="renamed@gmail.example.com"))
    assert again.json["user"]["user_id"] == first.json["user"]["user_id"]
    assert api.ask("GET", "/v1/auth/me", token=again.json["access_token"]).status == 200
    asked = stand_in.asked
    assert sign_in(api, stand_in.token(sub="new")).status == 200
    assert stand_in.asked == asked  # the keys are known


def test_a_proven_address_is_joined_and_an_unproven_one_never(api: Api, stand_in: Google) -> None:
    person = api.person()
    credential = stand_in.token(sub="theirs", email=person.email)
    refused = sign_in(api, credential)
    assert refused.status == 409
    token = token_in(wait_for(api, person.email, "Confirm your address"), "verify")
    api.ask("POST", "/v1/auth/verify-email", {"token": token})
    joined = sign_in(api, credential)
    assert joined.status == 200
    assert joined.json["user"]["user_id"] == person.credentials["user"]["user_id"]
    login = {"email": person.email, "password": PASSWORD}
    assert api.ask("POST", "/v1/auth/login", login).status == 200
    # Another person at Google with the same address does not get in.
    assert sign_in(api, stand_in.token(sub="somebody else", email=person.email)).status == 409


def test_what_google_did_not_sign_for_us_is_refused(api: Api, stand_in: Google) -> None:
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    good = stand_in.token(sub="good")
    now = int(time.time())
    wrong = {
        "another site's": stand_in.token(aud="theirs.apps.googleusercontent.com"),
        "another issuer": stand_in.token(iss="https://accounts.example.com"),
        "expired": stand_in.token(exp=now - 60),
        "without expiry": stand_in.token(exp=None),
        "of nobody": stand_in.token(sub=None),
        "without an address": stand_in.token(sub="bare", email=None),
        "an address that is not proven": stand_in.token(sub="bare", email_verified=False),
        "an address that is none": stand_in.token(sub="bare", email="nobody"),
        "signed by a stranger": stand_in.token(signed_by=stranger),
        "with a key that is not published": jwt.encode(
            {"sub": "x"}, stranger, "RS256", headers={"kid": "unknown"}
        ),
        "unsigned": jwt.encode({"sub": "x", "aud": CLIENT_ID}, None, "none", headers={"kid": "one"}),
        "signed with the public key as a secret": jwt.encode(
            {"sub": "x", "aud": CLIENT_ID}, "k" * 64, "HS256", headers={"kid": "one"}
        ),
        "tampered": good[:-8] + ("A" * 8),
        "no token": "x.y.z",
    }
    accepted = {
        name: reply.status for name, token in wrong.items() if (reply := sign_in(api, token)).status != 401
    }
    assert accepted == {}


def test_made_up_keys_make_us_ask_google_at_most_twice_a_minute(api: Api, stand_in: Google) -> None:
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    before = stand_in.asked
    for number in range(20):
        sign_in(api, jwt.encode({"sub": "x"}, stranger, "RS256", headers={"kid": f"k{number}"}))
    assert stand_in.asked - before <= 1


def test_without_a_client_id_it_is_switched_off(
    stand_in: Google, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with running_api(tmp_path_factory.mktemp("no-google")) as api:
        refused = sign_in(api, stand_in.token())
        assert (refused.status, refused.detail) == (403, "Signing in with Google is not set up here")


def test_a_google_that_does_not_answer_is_a_503_and_nobody_new_comes_where_signup_is_closed(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with google() as stand_in:
        settings = {
            "CALL2ME_GOOGLE_CLIENT_ID": CLIENT_ID,
            "CALL2ME_GOOGLE_KEYS_URL": stand_in.url,
            "CALL2ME_ALLOW_HOSTS": stand_in.url.split("/")[2],
            "CALL2ME_SIGNUP": "closed",
        }
        with running_api(tmp_path_factory.mktemp("closed"), **settings) as api:
            assert sign_in(api, stand_in.token()).status == 403
        stand_in.is_down = True
        with running_api(tmp_path_factory.mktemp("away"), **settings) as api:
            away = sign_in(api, stand_in.token())
            assert (away.status, away.headers["retry-after"]) == (503, "30")
