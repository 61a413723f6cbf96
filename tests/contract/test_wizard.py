"""A prompt written by talking about it: by templates without a model, by a model where one answers."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support.api import AGENT, Api, Person, running_api
from tests.support.ports import free_port
from tests.support.provider_server import KEY, ProviderServer, provider_server

ANSWERS = [
    "Ada's Bikes, a bicycle shop in Izmir.",
    "Take repairs and tell opening hours.",
    "Open Monday to Saturday, nine to six.",
    "Friendly and short.",
    "Never promise a price.",
]
WIZARD = "/v1/agents/wizard"


def talked(person: Person, **start: Any) -> dict[str, Any]:
    """A session in which every question was answered."""
    state: dict[str, Any] = person.ask("POST", f"{WIZARD}/start", start).json
    left = ANSWERS[1:] if start.get("seed") else ANSWERS
    for number, said in enumerate(left):
        assert (state["status"], state["messages"][-1]["role"]) == ("asking", "assistant"), number
        state = person.ask("POST", f"{WIZARD}/{state['session_id']}/message", {"content": said}).json
    assert state["status"] == "ready"
    return state


def test_an_agent_is_made_from_answers_alone(person: Person) -> None:
    state = talked(person, language="tr-TR", seed=ANSWERS[0])
    assert state["messages"][1]["content"] == "Temsilci arayanlar için ne yapmalı?"
    path = f"{WIZARD}/{state['session_id']}"
    assert person.ask("POST", f"{path}/apply", {}).status == 409
    for count in range(1, 6):
        state = person.ask("POST", f"{path}/compose-next").json
        assert (len(state["sections"]), len(state["remaining"])) == (count, 5 - count)
    assert state["status"] == "complete"
    assert person.ask("POST", f"{path}/compose-next").json["sections"] == state["sections"]
    assert person.ask("GET", path).json == state
    made = person.ask("POST", f"{path}/apply", {}).json
    agent = person.ask("GET", f"/v1/agents/{made['agent_id']}").json
    assert (agent["agent_name"], agent["language"]) == ("Ada's Bikes", "tr-TR")
    for said in ANSWERS:
        assert said in agent["response_engine"]["system_prompt"]
    again = person.ask("POST", f"{path}/apply", {"prompt": "Something else."}).json
    assert again["agent_id"] == made["agent_id"]
    kept = person.ask("GET", f"/v1/agents/{made['agent_id']}").json
    assert kept["response_engine"]["system_prompt"] == "Something else."
    assert len(person.ask("GET", "/v1/agents").json) == 1


def test_an_agent_is_changed_and_keeps_the_rest(person: Person) -> None:
    agent = person.made("/v1/agents", {**AGENT, "voice_speed": 1.2})
    state = person.ask("POST", f"/v1/agents/{agent['agent_id']}/wizard/start", {}).json
    assert (state["mode"], state["messages"][0]["content"]) == (
        "edit",
        "What shall be different from now on?",
    )
    path = f"{WIZARD}/{state['session_id']}"
    person.ask("POST", f"{path}/message", {"content": "Offer a call back."})
    assert person.ask("POST", f"{path}/compose-next").json["status"] == "complete"
    changed = person.ask("POST", f"{path}/apply", {}).json
    prompt = person.ask("GET", f"/v1/agents/{agent['agent_id']}").json["response_engine"]["system_prompt"]
    assert prompt.startswith("You answer the phone.\n\n# Changes\n")
    assert prompt.endswith("Offer a call back.")
    assert (changed["voice_speed"], changed["agent_name"]) == (1.2, "Reception")
    custom = person.made(
        "/v1/agents",
        {**AGENT, "response_engine": {"type": "custom-llm", "llm_websocket_url": "wss://llm.example.com/x"}},
    )
    assert person.ask("POST", f"/v1/agents/{custom['agent_id']}/wizard/start", {}).status == 409


def test_bad_input_changes_nothing(person: Person) -> None:
    state = person.ask("POST", f"{WIZARD}/start", {}).json
    path = f"{WIZARD}/{state['session_id']}"
    for body in ({}, {"content": ""}, {"content": " \n"}, {"content": "x" * 2001}):
        assert person.ask("POST", f"{path}/message", body).status == 422
    assert person.ask("POST", f"{path}/apply", {"prompt": "x" * 12_001}).status == 422
    assert person.ask("POST", f"{WIZARD}/start", {"seed": "x" * 501}).status == 422
    assert person.ask("POST", f"{WIZARD}/start", {"language": "../x"}).status == 422
    assert person.ask("POST", f"{path}/compose-next").json == state
    assert person.ask("GET", path).json == state


@pytest.fixture(scope="module")
def with_model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Api, ProviderServer]]:
    """An api with a language model, which is a stand-in on this machine."""
    started, stop, running = threading.Event(), asyncio.Event(), []
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        async with provider_server(free_port()) as server:
            running.append(server)
            started.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    started.wait(10)
    keys = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": f"{running[0].url}/v1"}
    try:
        with running_api(tmp_path_factory.mktemp("wizard"), **keys) as api:
            yield api, running[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()


def test_a_model_writes_the_sections_and_a_template_where_it_fails(
    with_model: tuple[Api, ProviderServer],
) -> None:
    api, vendor = with_model
    person = api.person()
    state = talked(person)
    path = f"{WIZARD}/{state['session_id']}"
    vendor.answer = "You are the voice of Ada's Bikes."
    with ThreadPoolExecutor(3) as pool:  # at once: the section is written once
        list(pool.map(lambda _: person.ask("POST", f"{path}/compose-next"), range(3)))
    sections = person.ask("GET", path).json["sections"]
    assert (sections[0]["content"], sections[0]["by_model"]) == (vendor.answer, True)
    assert len({section["name"] for section in sections}) == len(sections)
    asked = str(vendor.chats[-1])
    assert all(said.partition(".")[0] in asked for said in ANSWERS[:2])
    vendor.status = 500
    try:
        state = person.ask("POST", f"{path}/compose-next").json
    finally:
        vendor.status = 200
    assert state["sections"][-1]["by_model"] is False
