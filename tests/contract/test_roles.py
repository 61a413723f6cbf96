"""Who may do what: every operation of the OpenAPI document, with each kind of credential and with none."""

import base64
import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest

from api.http.callers import LoginNeeded, ReadOnlyKey
from api.http.errors import sentence
from api.users.service import OwnersOnly
from tests.support.api import Api, Person, Reply
from tests.support.openapi import Operation, operations
from tests.support.valid_requests import valid_body

READING = {"GET", "HEAD"}
NO_BODY = b"[]"
"""Where somebody is let in after all, this is refused, and nothing is done."""
SIGNED = {
    "receive_livekit_event",
    "receive_telnyx_event",
    "receive_sms_event",
    "receive_stripe_event",
    "receive_paddle_event",
}
"""Open to everybody, for what carries a provider's signature."""

pytestmark = pytest.mark.parametrize("api", ["sqlite"], indirect=True)


def _of_callers(api: Api) -> list[Operation]:
    return [one for one in operations(api) if "BearerAuth" in one.schemes]


def _asked(api: Api, operation: Operation, token: str, **headers: str) -> Reply:
    raw = None if operation.method in {"GET", "DELETE"} else NO_BODY
    return api.ask(operation.method, operation.address(), raw=raw, token=token, headers=headers)


def _wrong(
    api: Api, which: list[Operation], is_right: Callable[[Operation, Reply], bool], token: str
) -> list[Any]:
    """The operations that did not answer so."""
    asked = [(one, _asked(api, one, token)) for one in which]
    return [(one.name, reply.status, reply.raw[:200]) for one, reply in asked if not is_right(one, reply)]


def test_without_a_credential_only_what_is_public_answers(api: Api) -> None:
    def is_right(operation: Operation, reply: Reply) -> bool:
        is_refused = reply.status == 401 and reply.headers.get("www-authenticate") == "Bearer"
        return is_refused == bool(operation.schemes) or operation.name in SIGNED

    assert _wrong(api, operations(api), is_right, "") == []


def _part(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def _forged(api: Api, person: Person) -> dict[str, str]:
    """What looks like an access token, or is another kind of token of ours."""
    claims = jwt.decode(person.token, options={"verify_signature": False})
    _, payload, signature = person.token.split(".")
    link = person.ask("POST", "/v1/auth/quick-login", {"email": f"link-{time.time_ns()}@example.com"}).json[
        "url"
    ]
    secrets = api.secrets
    return {
        "not signed": f"{_part({'alg': 'none', 'typ': 'JWT'})}.{payload}.",
        "no algorithm, a signature": f"{_part({'alg': 'none', 'typ': 'JWT'})}.{payload}.{signature}",
        "another algorithm": jwt.encode(claims, secrets["jwt_secret"], "HS512"),
        "the workers' key": jwt.encode(claims, secrets["internal_key"], "HS256"),
        "LiveKit's audience": jwt.encode({**claims, "aud": "livekit"}, secrets["jwt_secret"], "HS256"),
        "expired": jwt.encode({**claims, "exp": int(time.time()) - 60}, secrets["jwt_secret"], "HS256"),
        "to refresh with": str(person.credentials["refresh_token"]),
        "to sign in once with": str(link).partition("#link=")[2],
        "the workers' key itself": secrets["internal_key"],
    }


def test_no_other_token_passes_for_an_access_token(api: Api, person: Person) -> None:
    which = _of_callers(api)
    wrong: list[Any] = []
    for kind, token in _forged(api, person).items():
        wrong += [(kind, *one) for one in _wrong(api, which, lambda _, reply: reply.status == 401, token)]
    headers = {"X-Internal-Key": api.secrets["internal_key"]}
    wrong += [one.name for one in which if _asked(api, one, "", **headers).status != 401]
    assert wrong == [], wrong


def test_a_key_that_may_only_read_is_refused_by_whatever_writes(api: Api, person: Person) -> None:
    key = person.made("/v1/api-keys", {"name": "Reader", "read_only": True})["api_key"]

    def is_right(operation: Operation, reply: Reply) -> bool:
        is_refused = reply.status == 403 and reply.detail == sentence(ReadOnlyKey)
        return is_refused == (operation.method not in READING)

    which = _of_callers(api)
    assert len([one for one in which if one.method not in READING]) > 100
    assert _wrong(api, which, is_right, key) == []


def test_what_needs_a_person_is_refused_to_a_key_that_may_everything(api: Api, person: Person) -> None:
    key = person.made("/v1/api-keys", {"name": "All", "permissions": ["*"]})["api_key"]

    def is_right(operation: Operation, reply: Reply) -> bool:
        is_refused: bool = reply.status == 403 and reply.detail == sentence(LoginNeeded)
        return is_refused is (operation.about["x-scope"] == "login")

    which = [one for one in _of_callers(api) if one.name != "log_out"]
    assert {one.name for one in which if one.about["x-scope"] == "login"} >= {
        "change_password",
        "erase_account",
    }
    assert _wrong(api, which, is_right, key) == []


def test_each_scope_of_an_end_user_opens_its_own_operations(api: Api, person: Person) -> None:
    def token(*scopes: str) -> str:
        return str(person.ask("POST", "/v1/end-users/ada/tokens", {"scopes": scopes}).json["token"])

    which = [one for one in operations(api) if "EndUserToken" in one.schemes]
    needed = {one.about["x-end-user-scope"] for one in which} - {"*"}
    assert needed == {"agents:read", "chats:read", "chats:write", "voice:read", "voice:write"}
    with_one = {scope: token(scope) for scope in needed}
    without = {scope: token(*(needed - {scope})) for scope in needed}
    wrong = []
    for one in which:
        if (scope := one.about["x-end-user-scope"]) == "*":
            wrong += _wrong(api, [one], lambda _, reply: reply.status == 200, token())
            continue
        wrong += _wrong(api, [one], lambda _, reply: reply.status != 403, with_one[scope])
        for refused in (without[scope], token()):
            reply = _asked(api, one, refused)
            if reply.status != 403 or scope not in reply.detail:
                wrong.append((one.name, scope, reply.status))
    assert wrong == []


def test_what_is_the_owners_is_refused_to_their_members(api: Api, person: Person) -> None:
    invited = person.made("/v1/users/me/tenant/invites", {"email": f"in-{time.time_ns()}@example.com"})
    body = {"token": invited["invite_url"].partition("#invite=")[2], "password": "correct horse"}
    member = Person(api, invited["email"], api.ask("POST", "/v1/auth/invite/accept", body).json)
    word, found, wrong = sentence(OwnersOnly), set(), []
    for one in _of_callers(api):
        if word not in one.about["responses"].get("403", {}).get("description", ""):
            continue
        found.add(one.name)
        sent = valid_body(one, person) if one.body is not None else None
        for who, is_refused in ((member, True), (person, False)):
            reply = who.ask(one.method, one.address(), sent)
            if (reply.status == 403) != is_refused or (is_refused and reply.detail != word):
                wrong.append((one.name, is_refused, reply.status, reply.raw[:200]))
    assert wrong == [], wrong
    assert len(found) >= 10, found
    assert member.ask("GET", "/v1/agents").json == []
