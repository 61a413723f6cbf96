"""The requests of the official JavaScript SDK, as they stand on the wire, against a started server.

Its `fetch` says `Content-Type: application/json` to everything, also where there is no body; leaves telephone
numbers in paths as they are; sends some nulls; and reads every answer but a 204 as JSON.
"""

import http.client
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from tests.support.api import Person
from tests.support.house import House
from tests.support.openapi import operations
from tests.support.rehearsed_exchange import until

NUMBER, CONTACT = "+905331239876", "+442079460123"
NODE = {
    "Connection": "keep-alive",
    "Content-Type": "application/json",
    "Accept": "*/*",
    "Accept-Language": "*",
    "Sec-Fetch-Mode": "cors",
    "User-Agent": "node",
    "Accept-Encoding": "gzip, deflate",
}


class Refused(Exception):
    """What the SDK throws."""

    def __init__(self, status: int, detail: Any) -> None:
        super().__init__(f"Call2Me API Error {status}: {detail}")
        self.status = status


class JavaScript:
    """One client. `sent` is every request that it made."""

    def __init__(self, house: House, token: str) -> None:
        host, port = house.api.url.removeprefix("http://").split(":")
        self._connection = http.client.HTTPConnection(host, int(port), timeout=30)
        self._token = token
        self.sent: set[tuple[str, str]] = set()

    def __call__(self, method: str, path: str, body: Any = None, **params: Any) -> Any:
        """Send what `JSON.stringify` and `URLSearchParams` make of it; read the answer as the SDK does."""
        given = {name: value for name, value in params.items() if value is not None}
        target = path + (f"?{urlencode(given)}" if given else "")
        raw = None if body is None else json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
        self._connection.putrequest(method, target, skip_accept_encoding=True)
        for name, value in {**NODE, "Authorization": f"Bearer {self._token}"}.items():
            self._connection.putheader(name, value)
        if raw is not None or method in {"POST", "PUT", "PATCH"}:
            self._connection.putheader("Content-Length", str(len(raw or b"")))
        self._connection.endheaders(raw)
        answer = self._connection.getresponse()
        told = answer.read()
        self.sent.add((method, path))
        assert answer.getheader("Content-Encoding") in {None, "gzip", "deflate"}
        if answer.status >= 400:
            raise Refused(answer.status, json.loads(told)["detail"])
        if answer.status == 204:
            assert told == b""
            return True
        return json.loads(told)

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


def status_of(call: Callable[[], Any]) -> int:
    """With what a request is refused; 200 where it is not."""
    try:
        call()
    except Refused as refused:
        return refused.status
    return 200


def _agents(send: JavaScript, owner: Person, house: House) -> None:
    engine = {"type": "call2me-llm", "system_prompt": "Sen bir resepsiyonistsin. ☎️"}
    made = send(
        "POST", "/v1/agents", {"agent_name": "Resepsiyon", "voice_id": "x-y", "response_engine": engine}
    )
    path = f"/v1/agents/{made['agent_id']}"
    assert owner.ask("GET", path).json["response_engine"]["system_prompt"] == engine["system_prompt"]
    assert send("GET", path) == made
    send("PATCH", path, {"agent_name": "Desk", "begin_message": None})
    assert owner.ask("GET", path).json["agent_name"] == "Desk"
    copy = send("POST", f"{path}/duplicate")
    listed = send("GET", "/v1/agents", limit=100, offset=0)
    assert [one["agent_id"] for one in listed] == [copy["agent_id"], made["agent_id"]]
    assert send("GET", f"{path}/stats", days=30)["total_calls"] == 0
    assert send("GET", "/v1/agents/stats/global")["calls_today"] == 0
    assert send("DELETE", path) is True
    assert owner.ask("GET", path).status == 404
    assert status_of(lambda: send("GET", path)) == 404


def _agent(send: JavaScript) -> str:
    engine = {"type": "call2me-llm", "system_prompt": "Hello.", "llm_model": "openrouter/auto"}
    wanted = {"agent_name": "Desk", "voice_id": "x-y", "language": "en-US", "response_engine": engine}
    return str(send("POST", "/v1/agents", wanted)["agent_id"])


def _knowledge_bases(send: JavaScript, owner: Person, house: House) -> None:
    text = {"title": "Network", "text": "The network for visitors is called Bluebird."}
    wanted = {"knowledge_base_name": "Guide", "knowledge_base_texts": [text]}
    base = send("POST", "/v1/knowledge-base", wanted)["knowledge_base_id"]
    path = f"/v1/knowledge-base/{base}"
    more = {"knowledge_base_texts": [{"title": "Lunch", "text": "Lunch is at one."}]}
    send("POST", f"{path}/add-sources", more)
    until(lambda: owner.ask("GET", path).json["status"] == "complete", 120)
    assert send("GET", path)["source_count"] == 2
    assert [one["knowledge_base_id"] for one in send("GET", "/v1/knowledge-base")] == [base]
    found = send("POST", f"{path}/query", {"query": "What is the network called?", "top_k": 5})
    assert "Bluebird" in found["results"][0]["content"]
    assert send("DELETE", path) is True
    assert owner.ask("GET", path).status == 404
    assert status_of(lambda: send("POST", "/v1/knowledge-base", {"name": "old"})) == 422


def _chats_and_widgets(send: JavaScript, owner: Person, house: House) -> None:
    agent_id = _agent(send)
    wanted = {"agent_id": agent_id, "title": "Question", "external_user_id": "ada", "metadata": {"plan": 1}}
    chat = send("POST", "/v1/chats", wanted)["session_id"]
    said = {"content": "Merhaba!", "model": None, "stream": False}
    assert send("POST", f"/v1/chats/{chat}/messages", said)["assistant_message"]["content"]
    kept = owner.ask("GET", f"/v1/chats/{chat}").json
    assert kept["messages"][0]["content"] == "Merhaba!"
    assert (kept["external_user_id"], send("GET", f"/v1/chats/{chat}")["title"]) == ("ada", "Question")
    assert send("GET", "/v1/chats", limit=50, external_user_id="ada")["total"] == 1
    assert send("GET", "/v1/chats", limit=50, external_user_id=None)["total"] == 1
    widget = send("POST", "/v1/widgets", {"agent_id": agent_id, "name": "Site"})["widget_id"]
    path = f"/v1/widgets/{widget}"
    assert send("PATCH", path, {"name": "Shop"})["name"] == owner.ask("GET", path).json["name"] == "Shop"
    assert [one["widget_id"] for one in send("GET", "/v1/widgets")] == [send("GET", path)["widget_id"]]
    session = send("POST", f"{path}/chat", {"message": "Hello.", "visitor_id": None})["session_id"]
    assert owner.ask("GET", f"/v1/chats/{session}").json["source"] == "widget"
    assert send("DELETE", path) is not None
    assert owner.ask("GET", "/v1/widgets").json == []


def _voice_sessions_and_calls(send: JavaScript, owner: Person, house: House) -> None:
    agent_id = _agent(send)
    made = send("POST", "/v1/voice/sessions", {"agent_id": agent_id, "context": None})
    assert made["url"].startswith("ws")
    assert made["session_limit_sec"] > 0
    call_id = made["call_id"]
    assert house.worker.brief(call_id).status == 200
    assert send("GET", f"/v1/voice/sessions/{quote(made['room_name'], safe='')}")["status"]
    told = send("GET", "/v1/calls", limit=50, offset=0, agent_id=agent_id)
    assert ([one["call_id"] for one in told["calls"]], told["total"]) == ([call_id], 1)
    assert send("GET", f"/v1/calls/{call_id}")["agent_id"] == agent_id
    assert status_of(lambda: send("GET", f"/v1/calls/{call_id}/recording")) == 404
    assert send("POST", f"/v1/calls/{call_id}/end")["call_id"] == call_id
    until(
        lambda: owner.ask("GET", f"/v1/calls/{call_id}").json["call_status"] not in {"in_progress", "ringing"}
    )
    token = send("POST", f"/v1/end-users/{quote('ada@example.com/1', safe='')}/tokens", {"expires_in": 3600})
    me = house.api.ask("GET", "/v1/end-users/me", token=token["token"]).json
    assert me["external_user_id"] == "ada@example.com/1"


def _numbers_and_trunks(send: JavaScript, owner: Person, house: House) -> None:
    agent_id = _agent(send)
    wanted = {
        "name": "Carrier",
        "sip_server": "sip.example.com",
        "sip_username": "me",
        "sip_password": "secret",
    }
    trunk = send("POST", "/v1/sip-trunks", wanted)["trunk_id"]
    path = f"/v1/sip-trunks/{trunk}"
    assert "secret" not in str(send("GET", path))
    send("PATCH", path, {"name": "Second"})
    assert owner.ask("GET", path).json["name"] == "Second"
    assert [one["name"] for one in send("GET", "/v1/sip-trunks")] == ["Second"]
    assert set(send("POST", f"{path}/test")) >= {"success", "message"}
    send("POST", "/v1/phone-numbers", {"phone_number": NUMBER})
    number = f"/v1/phone-numbers/{NUMBER}"
    send("POST", f"{number}/bind", {"agent_id": agent_id})
    assert owner.ask("GET", number).json["agent_id"] == agent_id
    send("PATCH", number, {"display_name": "Desk"})
    assert send("GET", number)["display_name"] == owner.ask("GET", number).json["display_name"] == "Desk"
    send("DELETE", f"{number}/unbind")
    assert [one["agent_id"] for one in send("GET", "/v1/phone-numbers")] == [None]
    assert send("DELETE", number) is True
    assert send("DELETE", path) is True
    assert (owner.ask("GET", "/v1/phone-numbers").json, owner.ask("GET", "/v1/sip-trunks").json) == ([], [])


def _campaigns_and_schedules(send: JavaScript, owner: Person, house: House) -> None:
    agent_id = _agent(send)
    made = send("POST", "/v1/campaigns", {"agent_id": agent_id, "name": "Spring", "from_number": NUMBER})
    path = f"/v1/campaigns/{made['campaign_id']}"
    send("PATCH", path, {"name": "Summer"})
    owner.made(f"{path}/contacts", {"contacts": [{"phone_number": CONTACT}]})
    assert CONTACT in str(send("GET", f"{path}/contacts"))
    assert send("GET", path)["name"] == owner.ask("GET", path).json["name"] == "Summer"
    assert made["campaign_id"] in str(send("GET", "/v1/campaigns"))
    for action in ("start", "pause", "resume", "cancel"):
        send("POST", f"{path}/action", {"action": action})
    assert owner.ask("GET", path).json["status"] == "cancelled"
    assert status_of(lambda: send("POST", f"{path}/action", {"action": "start"})) == 400
    assert send("DELETE", path) is not None
    assert owner.ask("GET", path).status == 404
    day = f"{datetime.now(UTC) + timedelta(days=30):%Y-%m-%dT09:00:00.000Z}"
    asked = {"agent_id": agent_id, "phone_number": CONTACT, "scheduled_at": day}
    schedule = f"/v1/schedules/{send('POST', '/v1/schedules', asked)['schedule_id']}"
    send("PATCH", schedule, {"description": "Ask about the bill."})
    assert owner.ask("GET", schedule).json["description"] == "Ask about the bill."
    assert send("GET", schedule)["schedule_id"] in str(send("GET", "/v1/schedules"))
    send("POST", f"{schedule}/cancel")
    assert owner.ask("GET", schedule).json["status"] == "cancelled"
    assert send("DELETE", schedule) is not None
    assert owner.ask("GET", schedule).status == 404


def _keys_people_and_webhooks(send: JavaScript, owner: Person, house: House) -> None:
    made = send("POST", "/v1/api-keys", {"name": "second", "read_only": True})
    key = f"/v1/api-keys/{made['key_id']}"
    assert house.api.ask("GET", "/v1/agents", token=made["api_key"]).status == 200
    assert len(send("GET", "/v1/api-keys")) == 2
    until(lambda: send("GET", f"{key}/usage")["total_requests"] == 1)
    assert send("DELETE", key) is True
    assert house.api.ask("GET", "/v1/agents", token=made["api_key"]).status == 401
    send("PATCH", "/v1/users/me", {"full_name": "Ada", "company_name": None})
    assert (
        owner.ask("GET", "/v1/users/me").json["full_name"]
        == send("GET", "/v1/users/me")["full_name"]
        == "Ada"
    )
    assert send("GET", "/v1/users/me/stats")["total_api_keys"] >= 1
    assert "total_requests" in send("GET", "/v1/users/me/usage", days=30)
    assert isinstance(send("GET", "/v1/users/me/usage/daily", days=30), list)
    send("PUT", "/v1/users/me/branding", {"app_name": "Ada Voice"})
    assert owner.ask("GET", "/v1/users/me/branding").json["app_name"] == "Ada Voice"
    assert send("GET", "/v1/users/me/branding")["app_name"] == "Ada Voice"
    assert send("GET", "/v1/users/me/tenant/members", page=1, per_page=20)["total_members"] == 0
    set_to = send("PUT", "/v1/webhooks", {"webhook_url": "https://example.com/hook"})
    assert owner.ask("GET", "/v1/webhooks").json["webhook_url"] == "https://example.com/hook"
    assert set_to["webhook_secret"] not in str(send("GET", "/v1/webhooks"))


def _money_voices_and_events(send: JavaScript, owner: Person, house: House) -> None:
    assert send("GET", "/v1/wallet/balance")["balance_usd"] is not None
    assert send("GET", "/v1/wallet/transactions", limit=50, offset=0)["transactions"] == []
    assert set(send("GET", "/v1/wallet/analytics", days=30)) >= {"daily", "models", "hourly", "recent"}
    assert "base_rate_per_min" in send("GET", "/v1/wallet/pricing")
    assert status_of(lambda: send("POST", "/v1/payments/checkout", {"amount": 20, "currency": "USD"})) == 503
    assert send("GET", "/v1/payments/history", limit=50) == {"payments": [], "total": 0}
    assert send("GET", "/v1/payments/methods") == {"methods": []}
    wanted = {"enabled": False, "threshold_usd": 7, "charge_amount_usd": 30}
    send("PUT", "/v1/payments/auto-charge", wanted)
    assert owner.ask("GET", "/v1/payments/auto-charge").json["threshold_usd"] == 7
    assert send("GET", "/v1/payments/auto-charge")["charge_amount_usd"] == 30
    voices = send("GET", "/v1/voices")
    assert all(one["provider"] for one in voices)
    report = {"type": "js_error", "source": "api", "message": "It broke", "severity": "error"}
    assert send("POST", "/v1/events", report) is not None
    assert status_of(lambda: send("GET", "/v1/events", hours=24, limit=50)) == 401


PARTS = (
    _agents,
    _knowledge_bases,
    _chats_and_widgets,
    _voice_sessions_and_calls,
    _numbers_and_trunks,
    _campaigns_and_schedules,
    _keys_people_and_webhooks,
    _money_voices_and_events,
)
OPERATIONS = 83
"""Those that its methods come down to: `start` is an action, `revoke` and `delete` of a key are one."""


@pytest.mark.parametrize("house", ["sqlite"], indirect=True)
def test_every_request_of_the_javascript_sdk_does_what_it_says(house: House) -> None:
    owner = house.api.person()
    send = JavaScript(house, owner.made("/v1/api-keys", {"name": "node"})["api_key"])
    for part in PARTS:
        part(send, owner, house)
    send.close()
    served = [
        (one.name, one.method, re.compile(re.sub(r"{\w+}", "[^/]+", one.path)))
        for one in operations(house.api)
    ]
    called = {
        next(name for name, served_by, shape in served if served_by == method and shape.fullmatch(path))
        for method, path in send.sent
    }
    assert len(called) == OPERATIONS, sorted(called)
