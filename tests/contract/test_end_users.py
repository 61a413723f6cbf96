"""End-user tokens: minted with the official SDK, and everything that one may and may not do."""

import asyncio
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from call2me import Call2Me, Call2MeError
from sqlalchemy.sql.dml import UpdateBase
from sqlmodel import col, update

from api.db.columns import now
from api.db.engine import Database
from api.end_users.table import EndUserTokenRow
from api.settings import Settings
from api.users.table import UserRow
from tests.contract.conftest import House
from tests.support.api import AGENT, Api, Person, Reply

ENGLISH = {**AGENT, "language": "en-US"}


@pytest.fixture
def key(person: Person) -> str:
    return str(person.made("/v1/api-keys", {"name": "Backend"})["api_key"])


@pytest.fixture
def client(api: Api, key: str) -> Iterator[Call2Me]:
    with Call2Me(api_key=key, base_url=api.url) as client:
        yield client


def agent_of(person: Person, **asked: Any) -> str:
    made = person.made("/v1/agents", {**ENGLISH, **asked})
    return str(made["agent_id"])


def token_of(person: Person, external_id: str = "ada", **asked: Any) -> str:
    reply = person.ask("POST", f"/v1/end-users/{external_id}/tokens", asked)
    assert reply.status == 200, reply.raw
    return str(reply.json["token"])


def chat_of(api: Api, token: str, agent_id: str, **asked: Any) -> Reply:
    return api.ask("POST", "/v1/chats", {"agent_id": agent_id, **asked}, token=token)


def test_the_sdk_mints_a_token_with_which_an_end_user_chats(
    client: Call2Me, api: Api, person: Person
) -> None:
    agent_id = agent_of(person)
    minted = client.end_users.create_token("ada", scopes=["agents:read", "chats:read", "chats:write"])
    assert minted["token"].startswith("eut_")
    assert (minted["external_user_id"], minted["expires_in"]) == ("ada", 3600)
    with Call2Me(api_key=minted["token"], base_url=api.url) as ada:
        [card] = ada.agents.list()
        assert set(card) == {"agent_id", "name", "language", "voice_id", "public_metadata"}
        chat = ada.chats.create(agent_id, external_user_id="somebody else")
        assert chat["external_user_id"] == "ada", "who it is stands in the token"
        assert ada.chats.send_message(chat["session_id"], "Hello!")["assistant_message"]["content"]
        with pytest.raises(Call2MeError, match="scope voice:write"):
            ada.voice_sessions.create(agent_id)
    told = client.chats.get(chat["session_id"])
    assert (told["external_user_id"], told["message_count"]) == ("ada", 2)
    me = api.ask("GET", "/v1/end-users/me", token=minted["token"]).json
    assert (me["external_user_id"], me["scopes"]) == ("ada", ["agents:read", "chats:read", "chats:write"])
    assert api.ask("GET", "/v1/end-users/me", token=person.token).status == 403


def test_end_users_see_cards_in_their_owners_order_and_no_hidden_agent(api: Api, person: Person) -> None:
    last = agent_of(person, agent_name="Last", public_metadata={"order": 2})
    first = agent_of(person, agent_name="First", public_metadata={"order": 1, "emoji": "🦷"})
    hidden = agent_of(person, agent_name="Hidden", public_metadata={"visible": False})
    plain = agent_of(person, agent_name="Plain")
    token = token_of(person)
    listed = api.ask("GET", "/v1/agents", token=token).json
    assert [card["agent_id"] for card in listed] == [first, last, plain]
    assert listed[0]["public_metadata"]["emoji"] == "🦷"
    assert "prompt" not in str(listed)
    page = api.ask("GET", "/v1/agents?limit=1&offset=1", token=token).json
    assert [card["agent_id"] for card in page] == [last]
    assert api.ask("GET", f"/v1/agents/{first}", token=token).json == listed[0]
    assert api.ask("GET", f"/v1/agents/{hidden}", token=token).status == 404
    assert chat_of(api, token, hidden).status == 404
    narrow = token_of(person, agent_ids=[last])
    assert [card["agent_id"] for card in api.ask("GET", "/v1/agents", token=narrow).json] == [last]
    assert api.ask("GET", f"/v1/agents/{first}", token=narrow).status == 404
    assert chat_of(api, narrow, first).status == 404
    wide = chat_of(api, token, first).json["session_id"]
    assert api.ask("GET", f"/v1/chats/{wide}", token=narrow).status == 404, (
        "the same person, a narrower token"
    )
    assert api.ask("GET", "/v1/chats", token=narrow).json["total"] == 0


def test_an_end_user_sees_what_is_theirs_and_nobody_elses(api: Api, person: Person) -> None:
    agent_id = agent_of(person)
    ada, bob, owners = token_of(person, "ada"), token_of(person, "bob"), person.token
    chat_id = chat_of(api, ada, agent_id).json["session_id"]
    other = chat_of(api, owners, agent_id).json["session_id"]
    stranger = api.person()
    foreign = token_of(stranger, "ada")
    for token in (bob, foreign):
        assert api.ask("GET", f"/v1/chats/{chat_id}", token=token).status == 404
        assert api.ask("POST", f"/v1/chats/{chat_id}/messages", {"content": "Hi"}, token=token).status == 404
        assert api.ask("GET", "/v1/chats?external_user_id=ada", token=token).json["total"] == 0
    assert api.ask("GET", f"/v1/chats/{other}", token=ada).status == 404
    assert [one["session_id"] for one in api.ask("GET", "/v1/chats", token=ada).json["sessions"]] == [chat_id]
    assert person.ask("GET", f"/v1/chats/{chat_id}").json["messages"] == []


def test_an_end_user_may_use_no_route_but_those_that_say_so(api: Api, person: Person) -> None:
    token = token_of(person)
    spec = api.ask("GET", "/openapi.json").json
    let_in = set()
    for path, methods in spec["paths"].items():
        for method, operation in methods.items():
            if {"BearerAuth": []} not in operation["security"]:
                continue
            if {"EndUserToken": []} in operation["security"]:
                let_in.add(operation["operationId"])
                continue
            filled = re.sub(r"{[^}]*}", "x", path)
            reply = api.ask(method.upper(), filled, {} if method != "get" else None, token=token)
            assert reply.status == 403, (method, path, reply.status)
    assert let_in == {
        "list_agents",
        "get_agent",
        "create_chat",
        "list_chats",
        "get_chat",
        "send_chat_message",
        "stream_chat_message",
        "create_voice_session",
        "get_voice_session",
        "get_end_user",
    }


def test_a_token_ends_when_it_is_revoked_with_its_key_and_with_its_time(
    api: Api, person: Person, client: Call2Me, key: str
) -> None:
    def is_let_in(token: str) -> bool:
        status = api.ask("GET", "/v1/agents", token=token).status
        assert status in {200, 401}
        return status == 200

    one, two, other = token_of(person), token_of(person), token_of(person, "bob")
    listed = person.ask("GET", "/v1/end-users/ada/tokens").json
    assert [token["is_active"] for token in listed] == [True, True]
    assert not any(
        "eut_" in value
        for token in listed
        for value in token.values()
        if isinstance(value, str) and value != token["token_id"]
    )
    path = f"/v1/end-users/ada/tokens/{listed[1]['token_id']}"
    assert person.ask("DELETE", path).status == person.ask("DELETE", path).status == 204
    assert [is_let_in(token) for token in (one, two, other)] == [False, True, True]
    assert person.ask("DELETE", "/v1/end-users/ada/tokens").json == {"revoked": 1}
    assert [is_let_in(token) for token in (one, two, other)] == [False, False, True]
    minted = client.end_users.create_token("ada")["token"]
    assert is_let_in(minted)
    key_id = person.ask("GET", "/v1/api-keys").json[0]["key_id"]
    person.ask("DELETE", f"/v1/api-keys/{key_id}")
    assert not is_let_in(minted), "it ended with the key that it was minted with"

    carols = token_of(person, "carol")

    async def change(statement: UpdateBase) -> None:
        database = Database(Settings.load(api.environment).database_url)
        async with database.transaction() as session:
            await session.exec(statement)
        await database.close()

    of_bob = col(EndUserTokenRow.external_id) == "bob"
    asyncio.run(change(update(EndUserTokenRow).where(of_bob).values(expires_at=now() - timedelta(seconds=1))))
    assert [is_let_in(token) for token in (other, carols)] == [False, True]
    mine = col(UserRow.id) == person.credentials["user"]["user_id"]
    asyncio.run(change(update(UserRow).where(mine).values(erased_at=now())))
    assert not is_let_in(carols), "its owner is no more"
    assert not is_let_in("eut_" + "0" * 48)


def test_a_lifetime_is_kept_within_its_bounds_and_nonsense_is_refused(api: Api, person: Person) -> None:
    def asked(**body: Any) -> Reply:
        return person.ask("POST", "/v1/end-users/ada/tokens", body)

    assert [asked(expires_in=seconds).json["expires_in"] for seconds in (1, 61, 10**9)] == [60, 61, 86_400]
    theirs = agent_of(api.person())
    assert asked(agent_ids=[theirs]).status == 404
    for wrong in ({"expires_in": 0}, {"scopes": ["admin"]}, {"agent_ids": []}, {"scopes": "chats:read"}):
        assert asked(**wrong).status == 422, wrong
    assert person.ask("POST", "/v1/end-users/a%0Ab/tokens", {}).status == 422
    read_only = person.made("/v1/api-keys", {"name": "R", "read_only": True})["api_key"]
    assert api.ask("POST", "/v1/end-users/ada/tokens", {}, token=read_only).status == 403
    minted = token_of(person)
    assert api.ask("POST", "/v1/end-users/ada/tokens", {}, token=minted).status == 403, "none mints another"


def test_an_end_user_talks_and_only_they_read_what_was_said(house: House) -> None:
    person, api = house.person(), house.api
    agent_id = person.ask("GET", "/v1/agents").json[0]["agent_id"]
    ada, bob = token_of(person, "ada"), token_of(person, "bob")
    opened = api.ask("POST", "/v1/voice/sessions", {"agent_id": agent_id, "context": None}, token=ada)
    assert opened.status == 200, opened.raw
    path = f"/v1/voice/sessions/{opened.json['room_name']}"
    assert house.worker.brief(opened.json["call_id"]).status == 200
    assert api.ask("GET", path, token=ada).status == 200
    assert api.ask("GET", path, token=bob).status == 404
    call = person.ask("GET", f"/v1/calls/{opened.json['call_id']}").json
    assert call["metadata"]["external_user_id"] == "ada"
