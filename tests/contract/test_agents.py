"""Agents over HTTP: made, kept as asked, changed, copied, deleted."""

import copy
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support.api import AGENT, Api, Person

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
