"""The official SDK (PyPI `call2me`) against the running api."""

from collections.abc import Iterator

import pytest
from call2me import Call2Me, Call2MeError

from tests.support.api import Api, Person


@pytest.fixture
def client(api: Api, person: Person) -> Iterator[Call2Me]:
    """The SDK with a key of somebody's own."""
    key = person.made("/v1/api-keys", {"name": "SDK"})["api_key"]
    with Call2Me(api_key=key, base_url=api.url) as client:
        yield client


def test_the_sdk_makes_changes_copies_and_deletes_agents(client: Call2Me) -> None:
    made = client.agents.create("Reception", system_prompt="")
    agent_id = made["agent_id"]
    assert made["voice_id"] == "elevenlabs-CFzl8WvPQ92EKMBs2hpS"
    assert made["response_engine"]["llm_provider"] == "openrouter"
    assert made["response_engine"]["llm_model"] == "openrouter/auto"
    assert client.agents.get(agent_id) == made
    assert client.agents.list() == [made]
    card = {"emoji": "☎️", "title": "Reception", "order": 2, "visible": True}
    changed = client.agents.update(agent_id, begin_message="Hello", language=None, public_metadata=card)
    assert (changed["begin_message"], changed["language"]) == ("Hello", "tr-TR")
    assert changed["public_metadata"] == card
    copy = client.agents.duplicate(agent_id)
    assert copy["agent_name"] == "Reception (Copy)"
    assert client.agents.delete(agent_id) is True
    assert [agent["agent_id"] for agent in client.agents.list()] == [copy["agent_id"]]


def test_the_sdk_reads_our_errors(client: Call2Me) -> None:
    with pytest.raises(Call2MeError) as missing:
        client.agents.get("agent_nonexistent")
    assert (missing.value.status_code, missing.value.detail) == (404, "Agent not found")
    with pytest.raises(Call2MeError) as invalid:
        client.agents.create("x", voice_speed=9)
    assert invalid.value.status_code == 422
    assert invalid.value.detail[0]["loc"] == ["body", "voice_speed"]


def test_the_sdk_makes_lists_and_revokes_keys(client: Call2Me, api: Api) -> None:
    made = client.api_keys.create("second", read_only=True)
    assert {key["key_id"] for key in client.api_keys.list()} >= {made["key_id"]}
    with Call2Me(api_key=made["api_key"], base_url=api.url) as reader:
        assert reader.agents.list() == []
        with pytest.raises(Call2MeError, match="403"):
            reader.agents.create("no")
        client.api_keys.revoke(made["key_id"])
        with pytest.raises(Call2MeError, match="401"):
            reader.agents.list()


def test_the_sdk_knows_whose_key_it_has(client: Call2Me, person: Person) -> None:
    assert client.users.me()["email"] == person.email
    assert client.users.update(full_name="Ada", company_name=None)["full_name"] == "Ada"


def test_the_sdk_lists_calls(client: Call2Me) -> None:
    assert client.calls.list(limit=50) == {"calls": [], "total": 0}
    with pytest.raises(Call2MeError, match="Call not found"):
        client.calls.get("call_0123456789abcdef")
