"""An answer in text is paid for once, and by whoever has enough."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from api.settings import Settings
from api.up import money
from tests.support.api import AGENT, PASSWORD, Api, Person, running_api


@pytest.fixture(scope="module")
def billing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """Five cents a message and a fifth more; twelve cents for a welcome."""
    home = tmp_path_factory.mktemp("chat-billing")
    rates = {"signup_bonus_usd": 0.13, "chat_rate_per_message": 0.05, "margin_percent": 20}
    (home / "rates.json").write_text(json.dumps(rates))
    with running_api(home, CALL2ME_BILLING="on", CALL2ME_RATES=str(home / "rates.json")) as api:
        yield api


def chat_of(person: Person) -> tuple[str, str]:
    agent = person.made("/v1/agents", {**AGENT, "language": "en-US"})["agent_id"]
    return agent, str(person.ask("POST", "/v1/chats", {"agent_id": agent}).json["session_id"])


def test_each_answer_is_charged_and_then_there_is_no_more(billing: Api) -> None:
    person = billing.person()
    agent_id, chat = chat_of(person)
    path = f"/v1/chats/{chat}/messages"
    for _ in range(2):
        assert person.ask("POST", path, {"content": "Hello!"}).status == 200
        time.sleep(0.01)
    refused = person.ask("POST", path, {"content": "One more"})
    assert (refused.status, refused.detail) == (402, "Insufficient balance")
    assert len(person.ask("GET", f"/v1/chats/{chat}").json["messages"]) == 4  # what was refused is not kept
    used = person.ask("GET", "/v1/wallet/transactions?type=usage").json["transactions"]
    assert [(row["amount_usd"], row["chat_id"], row["endpoint_type"]) for row in used] == [
        (-0.06, chat, "chat"),
        (-0.06, chat, "chat"),
    ]
    assert used[0]["explanation"]["paid_by"] == "wallet"
    balance = person.ask("GET", "/v1/wallet/balance").json
    assert (balance["balance_usd"], balance["held_usd"]) == (0.01, 0)
    analytics = person.ask("GET", "/v1/wallet/analytics?days=1").json
    today = datetime.now(UTC).date().isoformat()
    assert [(day["date"], day["total"], day["requests"]) for day in analytics["daily"]] == [(today, 0.12, 2)]
    assert [(row["agent_id"], row["cost_usd"]) for row in analytics["agents"]] == [(agent_id, 0.12)]
    assert analytics["recent"][0]["path"] == f"/v1/chats/{chat}"
    assert person.ask("GET", "/v1/wallet/usage-stats").json["breakdown"] == {"chat": 0.12}
    (day,) = person.ask("GET", "/v1/users/me/usage/daily").json
    assert (day["total_requests"], day["successful_requests"], day["calls_made"]) == (2, 2, 0)


def test_a_members_answer_pays_its_owners_margin_and_both_see_it(billing: Api) -> None:
    owner = billing.person()
    tenant = "/v1/users/me/tenant"
    assert owner.ask("PUT", f"{tenant}/pricing", {"margin_percent": 50}).status == 200
    invite = {"email": f"m{time.time_ns()}@example.com", "initial_credit_usd": 0.1}
    token = owner.made(f"{tenant}/invites", invite)["invite_url"].split("#invite=")[1]
    joined = billing.ask("POST", "/v1/auth/invite/accept", {"token": token, "password": PASSWORD})
    member = Person(billing, str(invite["email"]), joined.json)
    path = f"/v1/chats/{(chat := chat_of(member)[1])}/messages"
    assert member.ask("POST", path, {"content": "Hello!"}).status == 200
    (used,) = member.ask("GET", "/v1/wallet/transactions?type=usage").json["transactions"]
    assert (used["amount_usd"], used["cost_usd"], used["margin_usd"]) == (-0.09, 0.05, 0.01)
    assert used["explanation"]["tenant_margin_usd"] == "0.030000"
    (earned,) = owner.ask("GET", "/v1/wallet/transactions?type=earning").json["transactions"]
    assert (earned["amount_usd"], earned["description"]) == (0.03, "Margin of a member's chat")
    assert earned["explanation"] == {"chat_id": chat, "margin_percent": "50.0"}
    refused = member.ask(
        "POST", path, {"content": "Once more"}
    )  # one cent is left; without margin it was four
    assert (refused.status, refused.detail) == (402, "Insufficient balance")
    stats = owner.ask("GET", f"{tenant}/members").json
    assert (stats["total_calls"], stats["total_cost_usd"], stats["total_earnings_usd"]) == (
        0,
        "0.090000",
        "0.030000",
    )
    today = owner.ask("GET", f"{tenant}/trend?days=7").json[-1]
    assert (today["calls"], today["spend_usd"], today["earnings_usd"]) == (0, "0.090000", "0.030000")
    assert money.check(Settings.load(billing.environment)) == []


def test_of_many_at_once_only_as_many_as_can_be_paid_are_answered(billing: Api) -> None:
    person = billing.person()
    chats = [chat_of(person)[1] for _ in range(5)]
    with ThreadPoolExecutor(5) as pool:
        replies = list(
            pool.map(lambda id_: person.ask("POST", f"/v1/chats/{id_}/messages", {"content": "Hi"}), chats)
        )
    assert sorted(reply.status for reply in replies) == [200, 200, 402, 402, 402]
    assert person.ask("GET", "/v1/wallet/balance").json["balance_usd"] == 0.01
