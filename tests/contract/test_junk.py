"""Every operation that the OpenAPI document names, asked with junk: a refusal in shape, never our fault."""

import json
import random
import urllib.parse
from typing import Any

import pytest

from tests.support.api import AGENT, Api, Person

SEEDS = range(4)
OURS_TO_REFUSE = {501, 503}
"""No livekit-server and no worker stand behind this api, no phone line and no carrier."""

JUNK: list[Any] = [
    None,
    True,
    -1,
    2**31,
    2**63,
    2**64,
    10**400,
    -0.5,
    1e308,
    "",
    "x" * 5000,
    "\u202e\u0007",
    "🦷" * 50,
    "\\u0000",
    "' OR 1=1 --",
    [],
    [[None]],
    {},
    {"": {"a": [1, {"b": None}]}},
    {"type": "custom-llm"},
    "agent_000000000000",
]
RAW = {"NaN", "-Infinity", "1e999", "9" * 5000, '"\\u0000"', '"\\ud800"', "[" * 190 + "]" * 190}
WHOLE = [
    b"",
    b"{",
    b"null",
    b"[]",
    b'"x"',
    b"\xff\xfe{}",
    b'{"a":"\xff"}',
    b"[" * 100_000,
    b"NaN",
    b"\xef\xbb\xbf{}",
]
IN_PATHS = ["x", "call_0123456789abcdef", "%00", "%FF", "%2E%2E", "..%2F", "a" * 500, "%ED%A0%80", "🦷"]
IN_QUERIES = ["", "1", "-1", "x", "9" * 30, "9" * 5000, "%00", "%FF", "NaN", "1e5", "a" * 1000]


class Asker:
    """Makes up requests from the document, the same ones for the same seed."""

    def __init__(self, spec: dict[str, Any], seed: int, agent_id: str) -> None:
        self._schemas = spec["components"]["schemas"]
        self._random = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
        self._agent_id = agent_id

    def address(self, path: str, operation: dict[str, Any]) -> str:
        """The path with something in its places, and some of the query."""
        query = []
        for parameter in operation.get("parameters", []):
            if parameter["in"] == "path":
                said = self._random.choice([*IN_PATHS, self._agent_id])
                path = path.replace(f"{{{parameter['name']}}}", urllib.parse.quote(said, safe="%"))
            elif self._random.random() < 0.6:
                query.append(f"{parameter['name']}={self._random.choice(IN_QUERIES)}")
        return path + ("?" + "&".join(query) if query else "")

    def body(self, operation: dict[str, Any]) -> bytes:
        """JSON that is nearly what the document asks for, or no JSON at all."""
        content = operation.get("requestBody", {}).get("content", {}).get("application/json")
        if content is None or self._random.random() < 0.2:
            return self._random.choice(WHOLE)
        text = json.dumps(self._value(content["schema"]))
        for raw in sorted(RAW):
            text = text.replace(json.dumps(f"raw {raw}"), raw)
        return text.encode()

    def _value(self, schema: dict[str, Any]) -> Any:
        if self._random.random() < 0.15:
            return self._random.choice([*JUNK, *(f"raw {raw}" for raw in sorted(RAW))])
        if "$ref" in schema:
            return self._value(self._schemas[schema["$ref"].rpartition("/")[2]])
        for several in ("anyOf", "oneOf"):
            if several in schema:
                return self._value(self._random.choice(schema[several]))
        if "const" in schema or "enum" in schema:
            return self._random.choice([schema["const"]] if "const" in schema else schema["enum"])
        return self._of_type(schema)

    def _of_type(self, schema: dict[str, Any]) -> Any:
        choose = self._random.choice
        if "properties" in schema:
            required = schema.get("required", [])
            return {
                name: self._value(inner)
                for name, inner in schema["properties"].items()
                if name in required or self._random.random() < 0.3
            }
        low, high = schema.get("minimum", 0), schema.get("maximum", 100)
        moments = ["2026-01-05T10:00:00Z", "2026-01-05T10:00:00", "0001-01-01T00:00:00+14:00"]
        text = "x" * choose([schema.get("minLength", 1), schema.get("maxLength", 20)])
        made: dict[str, Any] = {
            "object": {"k" * choose([0, 1, 300]): f"raw {choose(sorted(RAW))}"},
            "array": [choose(JUNK)] * choose([0, 1, 3]),
            "integer": choose([low, high, low - 1, high + 1]),
            "number": choose([low, high, low - 1, high + 1]),
            "boolean": choose([True, False]),
            "string": choose(moments) if schema.get("format") == "date-time" else text,
        }
        if "items" in schema:
            made["array"] = [self._value(schema["items"]) for _ in range(choose([0, 1, 3]))]
        return made.get(schema.get("type", ""), choose(JUNK))


@pytest.mark.parametrize("seed", SEEDS)
def test_junk_is_refused_in_shape_and_never_our_fault(api: Api, person: Person, seed: int) -> None:
    spec = api.ask("GET", "/openapi.json").json
    asker = Asker(spec, seed, person.made("/v1/agents", AGENT)["agent_id"])
    headers = {"X-Internal-Key": api.secrets["internal_key"]}
    for path, operations in spec["paths"].items():
        for method, operation in operations.items():
            for _ in range(6 if "requestBody" in operation else 2):
                token = "" if path.endswith("/logout") else person.token
                address = asker.address(path, operation)
                raw = None if method in {"get", "delete"} else asker.body(operation)
                reply = api.ask(method.upper(), address, raw=raw, token=token, headers=headers)
                told = (method, address, raw, reply.status, reply.raw[:300])
                assert reply.status < 500 or reply.status in OURS_TO_REFUSE, told
                assert str(reply.status) in operation["responses"] or reply.status in {400, 403}, told
                if reply.status >= 400:
                    assert isinstance(reply.detail, list) == (reply.status == 422), told


def test_every_operation_that_takes_a_body_says_which(api: Api) -> None:
    spec = api.ask("GET", "/openapi.json").json
    without = {
        operation["operationId"]
        for operations in spec["paths"].values()
        for method, operation in operations.items()
        if method in {"post", "put", "patch"} and "requestBody" not in operation
    }
    assert without == {
        "analyse_call",
        "cancel_payment",
        "compose_wizard",
        "create_dispatch_rule",
        "regenerate_web_call_token",
        "start_public_web_call",
        "cancel_campaign",
        "cancel_schedule",
        "pause_campaign",
        "resume_campaign",
        "start_campaign",
        "duplicate_agent",
        "end_call",
        "export_account",
        "give_call_back",
        "refresh_knowledge_base",
        "regenerate_greeting_audio",
        "release_demo_number",
        "resume",
        "replay_webhook_delivery",
        "rotate_webhook_secret",
        "sync_sip_trunk",
        "sync_sip_trunk_2",
        "test_sip_trunk",
        "set_default_payment_method",
        "show_success_of_form",
        "test_webhook_endpoint",
        "update_chat",
    }
