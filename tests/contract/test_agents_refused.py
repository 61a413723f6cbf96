"""Agents that cannot be as they are asked for: refused by the field that is wrong, and nothing is changed."""

from typing import Any

import pytest

from tests.contract.test_agents import FULL
from tests.support.api import AGENT, Api, Person

ENGINE = AGENT["response_engine"]
HOOK = {"name": "f", "url": "https://example.com", "parameters": {"type": "object"}}


def _engine_with(function: dict[str, Any]) -> tuple[str, Any]:
    return "response_engine", {**ENGINE, "functions": [function]}


WRONG: list[tuple[str, Any]] = [
    ("agent_name", ""),
    ("agent_name", "n" * 101),
    ("agent_name", 7),
    ("agent_name", None),
    ("voice_id", ""),
    ("language", "not a language"),
    ("voice_speed", 0.49),
    ("voice_speed", 2.01),
    ("voice_speed", "fast"),
    ("responsiveness", 1.1),
    ("interruption_sensitivity", -0.1),
    ("backchannel_frequency", 2),
    ("backchannel_words", "aha"),
    ("begin_message_mode", "shouted"),
    ("reminder_message_frequency_ms", 2999),
    ("reminder_message_frequency_ms", 60001),
    ("reminder_max_count", 6),
    ("end_call_after_silence_ms", 9999),
    ("end_call_after_silence_ms", 120001),
    ("max_call_duration_ms", 59999),
    ("max_call_duration_ms", 7200001),
    ("enable_recording", "perhaps"),
    ("webhook_url", "javascript:alert(1)"),
    ("webhook_url", "file:///etc/passwd"),
    ("transfer_targets", [{"name": "x", "type": "pigeon", "value": "y"}]),
    ("transfer_targets", [{"name": "x", "type": "sip", "value": "y", "mode": "warm"}]),
    ("post_call_extraction", [{"name": "x", "type": "date", "description": ""}]),
    ("post_call_actions", [{"type": "explode", "config": {}}]),
    ("post_call_actions", [{"type": "tag_contact", "condition": "guests === 2"}]),
    ("post_call_actions", [{"type": "tag_contact", "condition": {"field": "guests", "operator": "like"}}]),
    ("knowledge_base_ids", "kb"),
    ("kb_chunks_count", 0),
    ("kb_chunks_count", 11),
    ("kb_similarity_threshold", 1.5),
    ("background_sound", "sea"),
    ("end_call_mode", "abrupt"),
    ("voicemail_detection_timeout_ms", 1999),
    ("voicemail_action", "sing"),
    ("metadata", []),
    ("public_metadata", {"order": 2**40}),
    ("response_engine", {}),
    ("response_engine", {"type": "other-llm"}),
    ("response_engine", {"type": "custom-llm"}),
    ("response_engine", {"type": "custom-llm", "llm_websocket_url": "https://example.com"}),
    ("response_engine", {**ENGINE, "temperature": 2.1}),
    ("response_engine", {**ENGINE, "max_tokens": 0}),
    ("response_engine", {**ENGINE, "max_tokens": 4097}),
    ("response_engine", {**ENGINE, "llm_provider": "abacus"}),
    ("response_engine", {**ENGINE, "engine": "steam"}),
    ("response_engine", {**ENGINE, "builtin_functions": ["rm"]}),
    ("response_engine", {**ENGINE, "system_prompt": "a\x00b"}),
    _engine_with({"type": "python"}),
    _engine_with({"type": "magic", "name": "f"}),
    _engine_with({**HOOK, "name": "no spaces"}),
    _engine_with({**HOOK, "url": "http://example.com"}),
    _engine_with({"name": "f", "url": "https://example.com"}),
    _engine_with({**HOOK, "parameters": {"type": "array"}}),
    _engine_with({**HOOK, "parameters": {"properties": {"a": {"type": "nothing"}}}}),
    _engine_with({**HOOK, "parameters": {"properties": {"a": {"pattern": "(a+)+$"}}}}),
    _engine_with({**HOOK, "parameters": {"properties": {"a": {"$ref": "https://example.com/schema"}}}}),
    ("response_engine", {**ENGINE, "functions": [HOOK, HOOK]}),
    ("response_engine", {**ENGINE, "mcp_servers": [{"name": "a", "url": "file:///etc"}]}),
    ("time_zone", "Mars/Olympus"),
    ("languages", ["not a language"]),
    ("voice_volume", 2.5),
    ("pronunciations", [{"word": "", "say": "x"}]),
    ("begin_message_delay_ms", 10_001),
    ("turn_detection", "guess"),
    ("ivr_navigation", {"max_menus": 3}),
    ("ivr_navigation", {"goal": "x" * 1001}),
    ("ivr_navigation", {"goal": "the desk", "max_menus": 31}),
    ("ivr_navigation", {"goal": "the desk", "max_wait_ms": 9_999}),
    ("failover", {"stt": [{"model": "x"}]}),
    ("fallback", {"action": "transfer", "target": "nobody"}),
    ("limits", {"cost_usd": 0}),
]


def test_an_agent_names_knowledge_bases_of_its_owner_alone(api: Api, person: Person) -> None:
    base = {"knowledge_base_name": "House"}
    mine = person.made("/v1/knowledge-base", base)["knowledge_base_id"]
    of_another = api.person().made("/v1/knowledge-base", base)["knowledge_base_id"]
    made = person.made("/v1/agents", {**AGENT, "knowledge_base_ids": [mine]})
    assert made["knowledge_base_ids"] == [mine]
    path = f"/v1/agents/{made['agent_id']}"
    for strange in (of_another, "kb_0123456789ab"):
        named = {"knowledge_base_ids": [mine, strange]}
        for reply in (person.ask("POST", "/v1/agents", {**AGENT, **named}), person.ask("PATCH", path, named)):
            assert reply.status == 422
            (part,) = reply.detail
            assert (part["loc"], part["input"]) == (["body", "knowledge_base_ids", 1], strange)
    assert [one["knowledge_base_ids"] for one in person.ask("GET", "/v1/agents").json] == [[mine]]
    assert person.ask("PATCH", path, {"knowledge_base_ids": []}).json["knowledge_base_ids"] == []


@pytest.mark.parametrize(("name", "value"), WRONG, ids=lambda value: str(value)[:40])
def test_a_value_out_of_bounds_is_refused_and_changes_nothing(person: Person, name: str, value: Any) -> None:
    created = person.ask("POST", "/v1/agents", {**AGENT, name: value})
    assert created.status == 422, created.raw
    assert created.detail[0]["loc"][0] == "body"
    assert person.ask("GET", "/v1/agents").json == []
    if value is not None:  # a null in a change means that the field was not sent
        made = person.made("/v1/agents", AGENT)
        path = f"/v1/agents/{made['agent_id']}"
        assert person.ask("PATCH", path, {"enable_vcon_export": True, name: value}).status == 422
        assert person.ask("GET", path).json == made


def test_what_can_never_work_is_refused_by_its_name(person: Person) -> None:
    engine = {**ENGINE, "functions": [HOOK, {**HOOK, "name": "g", "parameters": {"pattern": "(a|a)*"}}]}
    (wrong,) = person.ask("POST", "/v1/agents", {**AGENT, "response_engine": engine}).detail
    assert wrong["loc"][-2:] == ["functions", 1]
    assert "may never end" in wrong["msg"]


def test_agents_that_transfer_in_a_circle_are_refused(person: Person) -> None:
    def to(other: str) -> dict[str, Any]:
        return {"transfer_targets": [{"name": "next", "type": "agent", "value": other}]}

    first = person.made("/v1/agents", AGENT)["agent_id"]
    second = person.made("/v1/agents", {**AGENT, **to(first)})["agent_id"]
    third = person.made("/v1/agents", {**AGENT, **to(second)})["agent_id"]
    for target in (first, third):
        reply = person.ask("PATCH", f"/v1/agents/{first}", to(target))
        assert (reply.status, reply.detail[0]["loc"]) == (422, ["body", "transfer_targets"])
    assert person.ask("GET", f"/v1/agents/{first}").json["transfer_targets"] is None
    assert person.ask("PATCH", f"/v1/agents/{second}", to("agent_000000000000")).status == 200


def test_a_change_is_judged_by_what_it_leaves(person: Person) -> None:
    made = person.made("/v1/agents", FULL)
    path = f"/v1/agents/{made['agent_id']}"
    assert person.ask("PATCH", path, {"transfer_targets": []}).status == 422
    assert person.ask("GET", path).json == made


def test_a_reply_about_a_bad_request_is_never_much_larger_than_it(api: Api, person: Person) -> None:
    raw = b'{"padding": "' + b"x" * 900_000 + b'"}'
    reply = person.ask("POST", "/v1/agents", raw=raw)
    assert reply.status == 422
    assert len(reply.raw) < 5000
    many = person.ask("PATCH", "/v1/agents/agent_000000000000", {"backchannel_words": [1] * 1000})
    assert many.status == 422
    assert len(many.raw) < 20_000


@pytest.mark.parametrize(
    ("where", "asked"),
    [
        ("stt", {"provider": "deepgram", "model": "flux", "options": {"eot_threshold": 7}}),
        ("failover", {"llm": [{"provider": "openai", "model": "gpt-4o", "options": {"top_k": 3}}]}),
        ("failover", {"tts": [{"provider": "elevenlabs", "options": {"stability": 2}}]}),
    ],
)
def test_options_that_a_provider_would_refuse_are_refused_by_field(
    person: Person, where: str, asked: dict[str, Any]
) -> None:
    reply = person.ask("POST", "/v1/agents", {**AGENT, where: asked})
    assert (reply.status, reply.detail[0]["loc"][:2]) == (422, ["body", where])
