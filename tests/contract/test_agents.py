"""Agents over HTTP: made, kept as asked, changed, copied, deleted."""

import copy
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support.api import AGENT, Person

FULL: dict[str, Any] = {
    "agent_name": "Clinic",
    "voice_id": "elevenlabs-CFzl8WvPQ92EKMBs2hpS",
    "response_engine": {
        "type": "call2me-llm",
        "system_prompt": "You are {{username}}'s receptionist. Fiyatlar: ₺100.",
        "llm_provider": "anthropic",
        "llm_model": "some/model",
        "temperature": 1.5,
        "engine": "realtime",
        "max_tokens": 4096,
        "builtin_functions": ["end_call", "dtmf_input"],
        "functions": [
            {"type": "python", "name": "book", "parameters": {"x": None}},
            {
                "name": "order_status",
                "description": "Where an order is.",
                "url": "https://example.com/orders",
                "parameters": {
                    "type": "object",
                    "properties": {"code": {"type": "string", "pattern": "^[A-Z]+(-[0-9]+)*$"}},
                },
            },
        ],
        "mcp_servers": [
            {
                "name": "crm",
                "url": "https://example.com/mcp",
                "headers": {"X-Tenant": "a"},
                "allowed_tools": ["find"],
                "timeout_ms": 500,
            }
        ],
    },
    "language": "en-US",
    "voice_speed": 0.5,
    "responsiveness": 1,
    "interruption_sensitivity": 0,
    "enable_backchannel": False,
    "backchannel_frequency": 0.1,
    "backchannel_words": ["aha"],
    "begin_message": "Hello!",
    "begin_message_mode": "static",
    "reminder_message_frequency_ms": 3000,
    "reminder_max_count": 5,
    "end_call_after_silence_ms": 120000,
    "max_call_duration_ms": 60000,
    "enable_recording": True,
    "enable_vcon_export": True,
    "webhook_url": "https://example.com/hook?a=b",
    "transfer_targets": [
        {
            "name": "Ann",
            "type": "phone",
            "value": "+15550100",
            "mode": "warm",
            "private_message": "{{name}} calls.",
            "accept_timeout_ms": 9000,
            "three_way": True,
            "public_message": "Ann, this is {{name}}.",
        }
    ],
    "post_call_extraction": [{"name": "mood", "type": "enum", "description": "good, bad"}],
    "post_call_extraction_model": "gpt-4o",
    "post_call_actions": [
        {
            "type": "webhook",
            "name": "tell",
            "condition": "mood == 'bad'",
            "config": {"url": "https://example.com"},
        },
        {
            "type": "schedule_call",
            "name": None,
            "condition": {"field": "a", "operator": "==", "value": 1},
            "config": {},
        },
    ],
    "knowledge_base_ids": [],
    "kb_chunks_count": 10,
    "kb_similarity_threshold": 0.25,
    "background_sound": "office",
    "end_call_mode": "dynamic",
    "end_call_message": "Bye",
    "end_call_prompt": "Say goodbye",
    "voicemail_detection_enabled": True,
    "voicemail_detection_timeout_ms": 2000,
    "voicemail_action": "leave_message",
    "voicemail_message": "Call us back",
    "metadata": {"tier": None, "nested": {"a": [1, None]}},
    "public_metadata": {"emoji": "🦷", "title": "Clinic", "order": 1, "visible": True},
    "time_zone": "Europe/Berlin",
    "stt": {"provider": "deepgram", "model": "nova-3", "options": {"smart_format": True}},
    "languages": ["de-DE"],
    "key_terms": ["Ortiz"],
    "noise_suppression": True,
    "record_after_transfer": True,
    "transcribe_after_transfer": True,
    "ivr_navigation": {"goal": "Reach the desk.", "max_menus": 3, "max_wait_ms": 60_000},
    "voice_volume": 0.5,
    "pronunciations": [{"word": "Ortiz", "say": "or-TEEZ", "language": "en"}],
    "background_volume": 0.1,
    "begin_message_delay_ms": 500,
    "begin_message_uninterruptible": True,
    "caller_speaks_first": False,
    "turn_detection": "model",
    "endpointing": "dynamic",
    "min_interruption_words": 2,
    "failover": {
        "stt": [{"provider": "whisper", "model": "", "options": {}}],
        "llm": [{"provider": "openai", "model": "gpt-4o-mini", "options": {}}],
        "tts": [{"provider": "espeak", "model": "", "options": {}}],
    },
    "fallback": {"action": "transfer", "target": "Ann", "message": "One moment."},
    "limits": {
        "tokens": 10000,
        "cost_usd": 0.5,
        "tool_calls": 10,
        "tool_calls_per_turn": 2,
        "warn_before_end_seconds": 60,
    },
}


def test_an_agent_is_kept_as_it_was_asked_for(person: Person) -> None:
    reply = person.ask("POST", "/v1/agents", FULL)
    assert reply.status == 201
    made = reply.json
    shown = copy.deepcopy(FULL)
    shown["response_engine"]["mcp_servers"][0]["headers"]["X-Tenant"] = "********"  # headers hold secrets
    assert {name: made[name] for name in FULL} == shown
    assert re.fullmatch(r"agent_[a-f0-9]{12}", made["agent_id"])
    assert reply.headers["location"] == f"/v1/agents/{made['agent_id']}"
    assert made["status"] == "active"
    assert made["user_id"] == person.credentials["user"]["user_id"]
    assert person.ask("GET", f"/v1/agents/{made['agent_id']}").json == made


def test_what_was_not_said_has_the_contracts_defaults(person: Person) -> None:
    made = person.made(
        "/v1/agents", {**AGENT, "language": None, "an_unknown_field": {"x": 1}, "status": "inactive"}
    )
    assert (made["language"], made["voice_speed"], made["reminder_max_count"]) == ("tr-TR", 1.0, 2)
    assert (made["begin_message_mode"], made["background_sound"]) == ("dynamic", "none")
    assert made["response_engine"]["llm_model"] == "gpt-4-turbo"
    assert made["status"] == "active"
    assert "an_unknown_field" not in made


def test_agents_are_listed_newest_first_and_a_piece_at_a_time(person: Person) -> None:
    ids = [person.made("/v1/agents", {**AGENT, "agent_name": f"a{n}"})["agent_id"] for n in range(3)]
    listed = person.ask("GET", "/v1/agents").json
    assert [agent["agent_id"] for agent in listed] == ids[::-1]
    piece = person.ask("GET", "/v1/agents?limit=1&offset=1").json
    assert [agent["agent_id"] for agent in piece] == [ids[1]]


def test_a_change_touches_only_what_was_sent(person: Person) -> None:
    made = person.made("/v1/agents", FULL)
    path = f"/v1/agents/{made['agent_id']}"
    changed = person.ask("PATCH", path, {"agent_name": "New", "language": None, "begin_message": ""}).json
    assert changed["updated_at"] > made["updated_at"]
    expected = {**made, "agent_name": "New", "begin_message": "", "updated_at": changed["updated_at"]}
    assert changed == expected == person.ask("GET", path).json


def test_an_engine_of_ones_own_is_kept(person: Person) -> None:
    engine = {"type": "custom-llm", "llm_websocket_url": "wss://example.com/llm"}
    made = person.made("/v1/agents", {**AGENT, "response_engine": engine})
    assert made["response_engine"] == engine


def test_an_engine_without_a_type_is_the_built_in_one(person: Person) -> None:
    made = person.made("/v1/agents", {**AGENT, "response_engine": {"system_prompt": ""}})
    assert made["response_engine"]["type"] == "call2me-llm"


def test_a_copy_says_that_it_is_one_even_when_the_name_is_as_long_as_may_be(person: Person) -> None:
    made = person.made("/v1/agents", {**FULL, "agent_name": "n" * 100})
    reply = person.ask("POST", f"/v1/agents/{made['agent_id']}/duplicate", raw=b"")
    assert reply.status == 201
    assert reply.json["agent_id"] != made["agent_id"]
    assert reply.json["agent_name"] == "n" * 93 + " (Copy)"
    assert reply.json["response_engine"] == made["response_engine"]


def test_a_deleted_agent_is_gone(person: Person) -> None:
    path = f"/v1/agents/{person.made('/v1/agents', AGENT)['agent_id']}"
    deleted = person.ask("DELETE", path)
    assert (deleted.status, deleted.raw) == (204, b"")
    for method in ("GET", "DELETE"):
        gone = person.ask(method, path)
        assert (gone.status, gone.detail) == (404, "Agent not found")
    assert person.ask("GET", "/v1/agents").json == []


@pytest.mark.parametrize(
    "agent_id", ["agent_nonexistent", "agent_000000000000", "%00", "%ff", "a" * 500, "..%2f"]
)
def test_an_id_of_nothing_is_a_404(person: Person, agent_id: str) -> None:
    reply = person.ask("GET", f"/v1/agents/{agent_id}")
    assert reply.status == 404
    assert isinstance(reply.detail, str)


def test_changes_at_once_are_all_kept(person: Person) -> None:
    agent_id = person.made("/v1/agents", AGENT)["agent_id"]
    changes: list[dict[str, Any]] = [
        {"agent_name": "Changed"},
        {"language": "en-GB"},
        {"voice_speed": 1.5},
        {"enable_recording": True},
        {"kb_chunks_count": 7},
        {"begin_message": "Hello."},
    ]
    for _ in range(3):
        person.ask("PATCH", f"/v1/agents/{agent_id}", AGENT)
        with ThreadPoolExecutor(len(changes)) as pool:
            asked = [pool.submit(person.ask, "PATCH", f"/v1/agents/{agent_id}", c) for c in changes]
        assert {reply.result().status for reply in asked} == {200}
        kept = person.ask("GET", f"/v1/agents/{agent_id}").json
        assert [{name: kept[name] for name in change} for change in changes] == changes
        person.ask("PATCH", f"/v1/agents/{agent_id}", {"language": "tr-TR", "voice_speed": 1.0})
