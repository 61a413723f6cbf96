"""Passwords forgotten and changed, and addresses proven: by letters that really come."""

import sqlite3
import time

import pytest

from tests.support.api import PASSWORD, Api, Person
from tests.support.letters import letters_to, token_in, wait_for

NEW = "a better horse"
RESET = "Choose a new password"
VERIFY = "Confirm your address"


def log_in(api: Api, email: str, password: str) -> int:
    return api.ask("POST", "/v1/auth/login", {"email": email, "password": password}).status


def reset_token(api: Api, person: Person, number: int = 1) -> str:
    assert api.ask("POST", "/v1/auth/forgot-password", {"email": person.email}).status == 200
    return token_in(wait_for(api, person.email, RESET, number=number), "reset")


def test_a_forgotten_password_is_replaced_with_the_token_of_a_letter(api: Api, person: Person) -> None:
    token = reset_token(api, person)
    done = api.ask("POST", "/v1/auth/reset-password", {"token": token, "new_password": NEW})
    assert done.status == 200
    assert log_in(api, person.email, NEW) == 200
    assert log_in(api, person.email, PASSWORD) == 401
    # Whoever was signed in with the old password is out, with every token they have.
    assert person.ask("GET", "/v1/auth/me").status == 401
    refresh = {"refresh_token": person.credentials["refresh_token"]}
    assert api.ask("POST", "/v1/auth/refresh", refresh).status == 401
    wait_for(api, person.email, "Your password was changed")


def test_a_reset_token_is_good_once_and_only_the_newest_is(api: Api, person: Person) -> None:
    first = reset_token(api, person)
    second = reset_token(api, person, number=2)
    assert first != second
    body = {"token": first, "new_password": NEW}
    refused = api.ask("POST", "/v1/auth/reset-password", body)
    assert refused.status == 400
    assert "used before or is too old" in refused.detail
    assert log_in(api, person.email, PASSWORD) == 200
    assert api.ask("POST", "/v1/auth/reset-password", {**body, "token": second}).status == 200
    assert api.ask("POST", "/v1/auth/reset-password", {**body, "token": second}).status == 400


def test_a_token_for_one_thing_is_none_for_another(api: Api, person: Person) -> None:
    reset = reset_token(api, person)
    verify = token_in(wait_for(api, person.email, VERIFY), "verify")
    assert api.ask("POST", "/v1/auth/quick-login/verify", {"token": reset}).status == 401
    assert api.ask("POST", "/v1/auth/verify-email", {"token": reset}).status == 400
    body = {"token": verify, "new_password": NEW}
    assert api.ask("POST", "/v1/auth/reset-password", body).status == 400
    assert api.ask("POST", "/v1/auth/verify-email", {"token": verify}).status == 200


@pytest.mark.parametrize("path", ["/v1/auth/forgot-password", "/v1/auth/resend-verification"])
def test_nobody_learns_who_is_registered(api: Api, person: Person, path: str) -> None:
    took, said = [], []
    for email in (person.email, "nobody-here@example.com", "not an address"):
        began = time.monotonic()
        reply = api.ask("POST", path, {"email": email})
        took.append(time.monotonic() - began)
        said.append((reply.status, reply.raw))
    assert said[0] == said[1] == said[2]
    assert said[0][0] == 200
    assert min(took) >= 0.25
    assert letters_to(api, "nobody-here@example.com") == []


def test_an_address_is_proven_by_the_letter_of_signing_up(api: Api, person: Person) -> None:
    assert person.ask("GET", "/v1/users/me").json["email_verified"] is False
    old = token_in(wait_for(api, person.email, VERIFY), "verify")
    api.ask("POST", "/v1/auth/resend-verification", {"email": person.email.upper()})
    token = token_in(wait_for(api, person.email, VERIFY, number=2), "verify")
    assert api.ask("POST", "/v1/auth/verify-email", {"token": old}).status == 400
    proven = api.ask("POST", "/v1/auth/verify-email", {"token": token})
    assert (proven.status, proven.json["email"]) == (200, person.email)
    assert person.ask("GET", "/v1/users/me").json["email_verified"] is True
    assert api.ask("POST", "/v1/auth/verify-email", {"token": token}).status == 400
    api.ask("POST", "/v1/auth/resend-verification", {"email": person.email})
    time.sleep(0.5)
    assert len([one for one in letters_to(api, person.email) if one["Subject"] == VERIFY]) == 2


def test_a_password_is_changed_by_who_knows_it_and_other_devices_are_out(api: Api, person: Person) -> None:
    other = api.ask("POST", "/v1/auth/login", {"email": person.email, "password": PASSWORD}).json
    wrong = {"current_password": "wrong horse", "new_password": NEW}
    assert person.ask("POST", "/v1/auth/change-password", wrong).status == 400
    assert log_in(api, person.email, PASSWORD) == 200
    right = {**wrong, "current_password": PASSWORD}
    assert person.ask("POST", "/v1/auth/change-password", right).status == 200
    assert person.ask("GET", "/v1/auth/me").status == 200
    assert api.ask("GET", "/v1/auth/me", token=other["access_token"]).status == 401
    assert log_in(api, person.email, NEW) == 200
    assert log_in(api, person.email, PASSWORD) == 401


def test_a_key_changes_no_password(api: Api, person: Person) -> None:
    key = person.made("/v1/api-keys", {"name": "k"})["api_key"]
    body = {"current_password": PASSWORD, "new_password": NEW}
    refused = api.ask("POST", "/v1/auth/change-password", body, token=key)
    assert (refused.status, refused.detail) == (403, "Sign in for this; an API key is not enough")
    assert log_in(api, person.email, PASSWORD) == 200


def test_no_token_is_kept_as_it_is(api: Api, person: Person) -> None:
    token = reset_token(api, person)
    if "postgresql" in api.environment["CALL2ME_DATABASE_URL"]:
        return
    with sqlite3.connect(api.home / "call2me.sqlite") as database:
        kept = database.execute("select hash, purpose from one_time_links").fetchall()
    assert "reset" in {purpose for _, purpose in kept}
    assert token not in {hash_ for hash_, _ in kept}
    assert token not in api.log.read_text()
