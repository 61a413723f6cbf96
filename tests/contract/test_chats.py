"""/v1/chats, with the official SDK and by hand, on each kind of database."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from call2me import Call2Me, Call2MeError

from tests.support.api import AGENT, Api, Person

ENGLISH = {**AGENT, "language": "en-US"}


@pytest.fixture
def client(api: Api, person: Person) -> Iterator[Call2Me]:
    key = person.made("/v1/api-keys", {"name": "SDK"})["api_key"]
    with Call2Me(api_key=key, base_url=api.url) as client:
        yield client


def chat_of(person: Person, **asked: Any) -> str:
    agent = person.made("/v1/agents", ENGLISH)
    reply = person.ask("POST", "/v1/chats", {"agent_id": agent["agent_id"], **asked})
    assert reply.status == 200, reply.raw
    return str(reply.json["chat_id"])


def test_the_sdk_begins_a_chat_writes_and_reads_it(client: Call2Me, person: Person) -> None:
    agent = person.made("/v1/agents", ENGLISH)
    made = client.chats.create(agent["agent_id"], external_user_id="u-1", metadata={"plan": "gold"})
    assert made["session_id"] == made["chat_id"]
    assert (made["agent_name"], made["message_count"], made["source"]) == ("Reception", 0, "chat")
    reply = client.chats.send_message(made["session_id"], "Hello!")
    answer = reply["assistant_message"]
    assert reply["user_message"]["content"] == "Hello!"
    assert (answer["role"], answer["status"]) == ("assistant", "complete")
    assert answer["content"]
    assert (reply["message_id"], reply["content"]) == (answer["message_id"], answer["content"])
    assert (answer["model"], answer["tokens_input"], answer["cost_usd"]) == ("local/scripted", 0, 0.0)
    kept = client.chats.get(made["session_id"])
    assert kept["messages"] == [reply["user_message"], answer]
    assert (kept["message_count"], kept["title"], kept["external_user_id"]) == (2, "Hello!", "u-1")
    listed = client.chats.list(external_user_id="u-1")
    assert (listed["total"], listed["limit"], listed["offset"]) == (1, 50, 0)
    assert listed["sessions"][0]["session_id"] == made["session_id"]


def test_the_sdk_reads_an_answer_as_it_is_written(client: Call2Me, person: Person) -> None:
    chat_id = chat_of(person)
    lines = client.chats.send_message(chat_id, "Hello!", stream=True).text.split("\n")
    events = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
    assert events[-1] == "[DONE]"
    *deltas, done = [json.loads(event) for event in events[:-1]]
    assert done["done"] is True
    kept = client.chats.get(chat_id)["messages"][-1]
    assert "".join(delta["delta"] for delta in deltas).strip() == kept["content"]
    assert (done["message_id"], done["cost_usd"]) == (kept["message_id"], 0.0)


def test_the_documented_stream_names_its_events(person: Person) -> None:
    chat_id = chat_of(person)
    reply = person.ask("POST", f"/v1/chats/{chat_id}/messages/stream", {"role": "user", "content": "Hello!"})
    assert reply.headers["content-type"].startswith("text/event-stream")
    blocks = [block.split("\n") for block in reply.raw.decode().strip().split("\n\n")]
    names = [block[0].removeprefix("event: ") for block in blocks]
    assert names == ["delta"] * (len(blocks) - 1) + ["done"]
    told = [json.loads(block[1].removeprefix("data: ")) for block in blocks]
    kept = person.ask("GET", f"/v1/chats/{chat_id}").json["messages"][-1]
    assert "".join(one["text"] for one in told[:-1]).strip() == kept["content"] == told[-1]["content"]
    assert told[-1]["message_id"] == kept["message_id"]


def test_a_chat_is_named_archived_and_brought_back(person: Person) -> None:
    chat_id = chat_of(person)
    address = f"/v1/chats/{chat_id}"
    assert person.ask("PATCH", f"{address}?title=Order%2012").json["title"] == "Order 12"
    assert person.ask("DELETE", address).json["status"] == "archived"
    assert person.ask("GET", "/v1/chats").json["total"] == 0
    assert person.ask("GET", "/v1/chats?status=archived").json["total"] == 1
    refused = person.ask("POST", f"{address}/messages", {"content": "Hello!"})
    assert (refused.status, "archived" in refused.detail) == (409, True)
    assert person.ask("PATCH", f"{address}?status=active").json["title"] == "Order 12"
    assert person.ask("POST", f"{address}/messages", {"content": "Hello!"}).status == 200


def test_chats_are_found_by_what_was_written_and_a_page_at_a_time(person: Person) -> None:
    first, second = chat_of(person, title="About 100% wool"), chat_of(person)
    assert person.ask("POST", f"/v1/chats/{second}/messages", {"content": "A TABLE, please."}).status == 200

    def found(query: str) -> list[str]:
        reply = person.ask("GET", f"/v1/chats?{query}")
        assert reply.status == 200, reply.raw
        return [one["chat_id"] for one in reply.json["sessions"]]

    assert found("") == [second, first], "written in last first"
    assert (found("limit=1"), found("limit=1&offset=1")) == ([second], [first])
    assert found("search=a%20table") == [second]
    assert found("search=100%25") == [first], "a percent sign is only a percent sign"
    assert found("search=reception") == [second, first], "the agent's name"
    assert found("source=widget") == found("external_user_id=nobody") == []
    agent_id = person.ask("GET", f"/v1/chats/{first}").json["agent_id"]
    assert found(f"agent_id={agent_id}") == [first]


def test_what_is_no_message_changes_nothing(person: Person) -> None:
    chat_id = chat_of(person)
    for body in ({}, {"content": ""}, {"content": " \n"}, {"content": "x" * 4001}, {"content": 7}):
        assert person.ask("POST", f"/v1/chats/{chat_id}/messages", body).status == 422
    assert person.ask("PATCH", f"/v1/chats/{chat_id}?status=gone").status == 422
    assert person.ask("GET", "/v1/chats?limit=101").status == 422
    assert person.ask("GET", f"/v1/chats/{chat_id}").json["messages"] == []


def test_another_owners_agent_and_chat_are_not_there(client: Call2Me, api: Api, person: Person) -> None:
    stranger = api.person()
    theirs = person.made("/v1/agents", ENGLISH)["agent_id"]
    assert stranger.ask("POST", "/v1/chats", {"agent_id": theirs}).status == 404
    chat_id = chat_of(stranger)
    with pytest.raises(Call2MeError, match="Chat not found"):
        client.chats.get(chat_id)
    with pytest.raises(Call2MeError, match="Chat not found"):
        client.chats.send_message(chat_id, "Hello!")
    assert stranger.ask("GET", f"/v1/chats/{chat_id}").json["messages"] == []


def test_a_chat_outlives_its_agent(person: Person) -> None:
    chat_id = chat_of(person)
    agent_id = person.ask("GET", f"/v1/chats/{chat_id}").json["agent_id"]
    assert person.ask("DELETE", f"/v1/agents/{agent_id}").status < 300
    assert person.ask("GET", f"/v1/chats/{chat_id}").json["agent_name"] == "Reception"
    refused = person.ask("POST", f"/v1/chats/{chat_id}/messages", {"content": "Hello!"})
    assert (refused.status, "deleted" in refused.detail) == (409, True)
