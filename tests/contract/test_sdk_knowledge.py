"""The official SDK's knowledge operations against the running api."""

import time
from collections.abc import Iterator

import pytest
from call2me import Call2Me, Call2MeError

from tests.support.api import AGENT, Api, Person


@pytest.fixture
def client(api: Api, person: Person) -> Iterator[Call2Me]:
    """The SDK with a key of somebody's own."""
    key = person.made("/v1/api-keys", {"name": "SDK"})["api_key"]
    with Call2Me(api_key=key, base_url=api.url) as client:
        yield client


def test_the_sdk_makes_fills_asks_and_deletes_a_knowledge_base(client: Call2Me, person: Person) -> None:
    agent_id = person.made("/v1/agents", AGENT)["agent_id"]
    text = {"title": "Hours", "text": "We are open from eight to six."}
    made = client.knowledge_bases.create("Clinic", "ignored", texts=[text], agent_id=agent_id)
    base_id = made["knowledge_base_id"]
    assert made["knowledge_base_name"] == "Clinic"
    assert made["agent_id"] == agent_id
    assert [base["knowledge_base_id"] for base in client.knowledge_bases.list()] == [base_id]
    person.ask("PATCH", f"/v1/knowledge-base/{base_id}", {"embedder": "words"})
    added = client.knowledge_bases.add_source(base_id, "text", "A crown costs 900 dollars.", "Prices")
    assert [source["title"] for source in added["knowledge_base_sources"]] == ["Hours", "Prices"]
    deadline = time.monotonic() + 120
    while client.knowledge_bases.get(base_id)["status"] != "complete":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    answer = client.knowledge_bases.query(base_id, "What does a crown cost?", top_k=1)
    assert answer["query"] == "What does a crown cost?"
    assert "900" in answer["results"][0]["content"]
    assert "900" in answer["context_text"]
    with pytest.raises(Call2MeError) as refused:
        client.knowledge_bases.add_source(base_id, "url", "http://127.0.0.1/")
    assert refused.value.status_code == 422
    assert client.knowledge_bases.delete(base_id) is True
    with pytest.raises(Call2MeError, match="Knowledge base not found"):
        client.knowledge_bases.get(base_id)
