"""What one has, what calls cost, and where it went: over the wire, with calls that a worker really told."""

import csv
import io
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from call2me import Call2Me

from api.settings import Settings
from api.up import money
from tests.contract.conftest import ENGLISH_AGENT, House
from tests.support.api import PASSWORD, ROOT, Api, Person, running_api
from tests.support.livekit_server import LiveKitServer
from tests.support.postgres import new_database
from tests.support.rehearsed_worker import RehearsedWorker, Script


def command(api: Api, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "api.cli", *arguments],
        env=api.environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def credit(person: Person, usd: str, note: str = "A present") -> None:
    money.credit(Settings.load(person.api.environment), person.email, usd, note)


def talk(house: House, person: Person, call_id: str, seconds: float) -> None:
    """What a worker tells of a call, until the call is charged or let go."""
    script = Script(call_id)
    used = {"llm_input_tokens": 100, "llm_output_tokens": 20, "stt_seconds": 1}
    ended = {**script.ended(seconds), "usage": used}
    told = house.worker.tell(script.started(), script.said("user", "Hi.", 1, 2), ended)
    assert told.status == 200, told.raw
    settled(person, call_id)


def settled(person: Person, call_id: str) -> None:
    deadline = time.monotonic() + 30
    while person.ask("GET", "/v1/wallet/balance").json["held_usd"] or not any(
        row["call_id"] == call_id for row in person.ask("GET", "/v1/wallet/transactions").json["transactions"]
    ):
        assert time.monotonic() < deadline, "the call was not charged"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def billing(
    house: House, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    """A second api, with billing on, beside the same livekit-server."""
    kind = "postgresql" if "postgresql" in house.api.environment["CALL2ME_DATABASE_URL"] else "sqlite"
    url = new_database(request, kind)
    livekit: LiveKitServer = house.livekit
    home = tmp_path_factory.mktemp(f"billing-{kind}")
    (home / "rates.json").write_text('{"signup_bonus_usd": 0.2}')
    secrets = house.api.secrets
    settings = {
        "LIVEKIT_API_KEY": secrets["livekit_api_key"],
        "LIVEKIT_API_SECRET": secrets["livekit_api_secret"],
        "CALL2ME_LIVEKIT_PORT": house.api.environment["CALL2ME_LIVEKIT_PORT"],
        "CALL2ME_BILLING": "on",
        "CALL2ME_RATES": str(home / "rates.json"),
    }
    with running_api(home, url, **settings) as api, RehearsedWorker(api) as worker:
        yield House(api, livekit, worker)


def test_with_billing_off_a_call_is_written_down_and_nobody_pays(house: House) -> None:
    person = house.person()
    call_id = house.call(person)
    talk(house, person, call_id, 61.5)
    (row,) = person.ask("GET", "/v1/wallet/transactions").json["transactions"]
    assert (row["type"], row["amount_usd"], row["call_id"]) == ("usage", -0.103333, call_id)
    assert (row["balance_before"], row["balance_after"]) == (0, 0)
    assert row["explanation"]["billed_seconds"] == 62
    assert row["explanation"]["paid_by"] == "this server"
    balance = person.ask("GET", "/v1/wallet/balance").json
    assert (balance["balance_usd"], balance["has_balance"], balance["can_proceed"]) == (0, False, True)
    assert person.ask("GET", "/v1/wallet/can-afford?estimated_cost=5").json["can_afford"] is True


def test_a_call_is_paid_from_the_wallet_and_says_what_for(billing: House) -> None:
    person = billing.person()
    assert person.ask("GET", "/v1/users/me").json["balance_usd"] == "0.200000"  # the bonus
    done = command(billing.api, "wallet", "credit", person.email, "1.50", "--note", "For a first try")
    assert "The balance is $1.700000." in done.stdout, done.stderr
    call_id = billing.call(person)
    assert person.ask("GET", "/v1/wallet/balance").json["held_usd"] == 1.7  # an hour would cost more
    talk(billing, person, call_id, 90)
    listed = person.ask("GET", "/v1/wallet/transactions?limit=2").json
    assert (listed["total"], listed["limit"], listed["offset"]) == (3, 2, 0)
    used, grant = listed["transactions"]
    assert (used["type"], used["amount_usd"], used["cost_usd"], used["margin_usd"]) == (
        "usage",
        -0.15,
        0.15,
        0,
    )
    assert (used["balance_before"], used["balance_after"]) == (1.7, 1.55)
    assert used["description"] == "Call of 90 s at base $0.10/min"
    assert used["explanation"]["parts"] == [
        {"name": "base", "rate_per_min": "0.10", "seconds": 90, "usd": "0.150000"}
    ]
    assert (grant["type"], grant["amount_usd"], grant["description"]) == ("topup", 1.5, "For a first try")
    assert grant["explanation"]["granted_by"].endswith("(command line)")
    only = person.ask("GET", "/v1/wallet/transactions?type=usage").json
    assert [row["id"] for row in only["transactions"]] == [used["id"]]
    summary = person.ask("GET", "/v1/wallet/summary").json
    assert summary["last_usage_at"] is not None
    assert {
        name: summary[name] for name in ("current_balance", "total_topup", "total_usage", "usage_count")
    } == {
        "current_balance": 1.55,
        "total_topup": 1.7,
        "total_usage": 0.15,
        "usage_count": 1,
    }
    assert person.ask("GET", "/v1/wallet").json["balance_usd"] == 1.55
    assert person.ask("GET", "/v1/users/me/balance").json == {
        "balance_usd": "1.550000",
        "balance": 1.55,
        "currency": "USD",
    }
    stranger = billing.person()
    assert stranger.ask("GET", "/v1/wallet/transactions").json["total"] == 1  # a bonus of their own
    assert command(billing.api, "wallet", "check").stdout == "The book is right.\n"


def test_who_has_too_little_begins_no_call(billing: House) -> None:
    person = billing.person()
    first = billing.token(person)  # 0.20: two minutes
    late = billing.token(person)
    brief = billing.worker.brief(first["call_id"], "job-a").json
    assert brief["max_duration_seconds"] == 120
    assert billing.worker.brief(first["call_id"], "job-a").json["max_duration_seconds"] == 120
    for path, body in (("/v1/livekit/token", {}), ("/v1/voice/sessions", _session(person))):
        refused = person.ask("POST", path, body)
        assert (refused.status, refused.detail) == (402, "Insufficient balance")
    assert person.ask("GET", "/v1/wallet/balance").json["can_proceed"] is False
    # A token that was given before the balance was held: the call is over before it begins.
    refused = billing.worker.brief(late["call_id"], "job-b")
    assert (refused.status, refused.detail) == (409, "The balance of this call's owner is spent")
    call = person.ask("GET", f"/v1/calls/{late['call_id']}").json
    assert (call["call_status"], call["disconnection_reason"]) == ("failed", "error: the balance is spent")
    talk(billing, person, first["call_id"], 123)  # three seconds of goodbye
    assert person.ask("GET", "/v1/wallet/balance").json["balance_usd"] == -0.005
    assert person.ask("POST", "/v1/livekit/token", {}).status == 402
    credit(person, "1")
    assert person.ask("POST", "/v1/livekit/token", {}).status == 200


def test_a_members_call_pays_its_owners_margin_and_both_see_it(billing: House) -> None:
    owner = billing.api.person()
    tenant = "/v1/users/me/tenant"
    assert owner.ask("PUT", f"{tenant}/pricing", {"margin_percent": 50}).status == 200
    credit(owner, "10")  # and 0.20 as a welcome
    invite = {"email": f"m{time.time_ns()}@example.com", "initial_credit_usd": 1}
    token = owner.made(f"{tenant}/invites", invite)["invite_url"].split("#invite=")[1]
    joined = billing.api.ask("POST", "/v1/auth/invite/accept", {"token": token, "password": PASSWORD})
    member = Person(billing.api, invite["email"], joined.json)
    assert joined.json["user"]["balance_usd"] == "1.000000"  # no welcome on top
    member.made("/v1/agents", ENGLISH_AGENT)
    call_id = billing.call(member)
    talk(billing, member, call_id, 120)
    used = member.ask("GET", "/v1/wallet/transactions?type=usage").json["transactions"][0]
    assert (used["amount_usd"], used["cost_usd"]) == (-0.3, 0.2)
    assert used["explanation"]["tenant_margin_usd"] == "0.100000"
    (earned,) = owner.ask("GET", "/v1/wallet/transactions?type=earning").json["transactions"]
    assert (earned["amount_usd"], earned["balance_after"]) == (0.1, 9.3)
    stats = owner.ask("GET", f"{tenant}/members").json
    assert (stats["total_calls"], stats["total_cost_usd"], stats["total_earnings_usd"]) == (
        1,
        "0.300000",
        "0.100000",
    )
    today = owner.ask("GET", f"{tenant}/trend?days=7").json[-1]
    assert (today["calls"], today["spend_usd"], today["earnings_usd"]) == (1, "0.300000", "0.100000")
    detail = owner.ask("GET", f"{tenant}/members/{stats['members'][0]['user_id']}").json
    assert [(call["call_id"], call["cost_usd"]) for call in detail["recent_calls"]] == [(call_id, "0.300000")]
    assert (detail["calls_this_month"], detail["spend_this_month"]) == (1, "0.300000")
    assert command(billing.api, "wallet", "check").stdout == "The book is right.\n"


def _session(person: Person) -> dict[str, Any]:
    return {"agent_id": person.ask("GET", "/v1/agents").json[0]["agent_id"]}


def test_figures_are_those_of_the_calls(billing: House) -> None:
    person = billing.person()
    credit(person, "10")
    agent_id = person.ask("GET", "/v1/agents").json[0]["agent_id"]
    other = person.made("/v1/agents", {**ENGLISH_AGENT, "agent_name": "Other"})["agent_id"]
    assert person.ask("GET", f"/v1/agents/{other}/stats").json["total_calls"] == 0
    for asked, seconds in ((agent_id, 60), (agent_id, 30), (other, 6)):
        call_id = billing.token(person, agent_id=asked)["call_id"]
        assert billing.worker.brief(call_id, f"job-{call_id}").status == 200
        talk(billing, person, call_id, seconds)
    today = datetime.now(UTC).date().isoformat()
    analytics = person.ask("GET", "/v1/wallet/analytics?days=7").json
    assert [(day["date"], day["total"], day["requests"]) for day in analytics["daily"]] == [(today, 0.16, 3)]
    assert [(row["agent_id"], row["cost_usd"]) for row in analytics["agents"]] == [
        (agent_id, 0.15),
        (other, 0.01),
    ]
    assert sum(row["cost_usd"] for row in analytics["hourly"]) == pytest.approx(0.16)
    assert {row["type"] for row in analytics["models"]} == {"llm", "stt", "tts"}
    assert [row["cost_usd"] for row in analytics["recent"]] == [0.01, 0.05, 0.1]
    stats = person.ask("GET", "/v1/wallet/usage-stats").json
    assert (stats["days"], stats["total_spent"], stats["transaction_count"]) == (30, 0.16, 3)
    assert stats["breakdown"] == {"voice": 0.16}
    mine = person.ask("GET", f"/v1/agents/{agent_id}/stats").json
    assert (mine["total_calls"], mine["total_duration_seconds"], mine["avg_duration_seconds"]) == (2, 90, 45)
    assert (mine["total_cost_usd"], mine["avg_cost_per_call"]) == (0.15, 0.075)
    assert (mine["total_tokens"], mine["avg_tokens_per_call"]) == (240, 120)
    assert person.ask("GET", "/v1/agents/stats/global").json == {
        "calls_today": 3,
        "total_cost_today_usd": 0.16,
    }
    me = person.ask("GET", "/v1/users/me/stats").json
    assert (me["total_agents"], me["total_calls"], me["balance_usd"]) == (2, 3, "10.040000")
    assert (me["first_agent_id"], me["has_paid_topup"]) == (agent_id, True)
    used = person.ask("GET", "/v1/users/me/usage").json
    assert (used["total_requests"], used["total_credits"]) == (3, "0.160000")
    (day,) = person.ask("GET", "/v1/users/me/usage/daily").json
    assert (day["date"], day["calls_made"], day["credits_total"]) == (today, 3, "0.160000")
    assert (day["call_duration_ms"], day["failed_requests"]) == (96_000, 0)


def test_transactions_are_exported_and_no_spreadsheet_runs_them(billing: House) -> None:
    person = billing.person()
    credit(person, "2.5", '=HYPERLINK("http://evil.example")')
    for path in ("/v1/wallet/transactions/export", "/v1/wallet/transactions.csv"):
        reply = person.ask("GET", path)
        assert reply.headers["content-type"] == "text/csv; charset=utf-8"
        rows = list(csv.DictReader(io.StringIO(reply.raw.decode())))
        assert [(row["type"], row["amount_usd"]) for row in rows] == [
            ("topup", "2.500000"),
            ("topup", "0.200000"),
        ]
        assert rows[0]["description"] == """'=HYPERLINK("http://evil.example")"""
    assert len(person.ask("GET", "/v1/wallet/transactions.csv?type=usage").raw.splitlines()) == 1


def test_nobody_adds_to_their_own_wallet(billing: House) -> None:
    person = billing.person()
    refused = person.ask("POST", "/v1/wallet/topup", {"amount_usd": 10})
    assert refused.status == 403
    assert "call2me wallet credit" in refused.detail
    assert person.ask("POST", "/v1/wallet/topup", {"amount_usd": 0}).status == 422
    assert person.ask("GET", "/v1/wallet/balance").json["balance_usd"] == 0.2


def test_prices_are_public_and_one(billing: House) -> None:
    person = billing.person()
    public = billing.api.ask("GET", "/v1/pricing").json
    assert public == person.ask("GET", "/v1/wallet/pricing").json
    assert (public["base_rate_per_min"], public["signup_bonus_usd"]) == (0.1, 0.2)
    assert (public["realtime_surcharge_per_min"], public["outbound_surcharge_per_min"]) == (0.25, 0.03)
    estimate = person.ask("GET", "/v1/wallet/estimate?base_cost=2").json
    assert (estimate["final_cost_usd"], estimate["margin_usd"]) == (2, 0)
    afford = person.ask("GET", "/v1/wallet/can-afford?estimated_cost=0.5").json
    assert (afford["can_afford"], afford["shortfall_usd"]) == (False, 0.3)
    for path in ("/v1/wallet/estimate?base_cost=0", "/v1/wallet/analytics?days=91", "/v1/wallet/can-afford"):
        assert person.ask("GET", path).status == 422


def test_the_sdk_reads_its_wallet(billing: House) -> None:
    person = billing.person()
    call_id = billing.call(person)
    talk(billing, person, call_id, 12)
    key = person.made("/v1/api-keys", {"name": "SDK"})["api_key"]
    with Call2Me(api_key=key, base_url=billing.api.url) as client:
        assert client.wallet.balance()["balance_usd"] == 0.18
        listed = client.wallet.transactions(limit=1)
        assert (listed["total"], listed["transactions"][0]["amount_usd"]) == (2, -0.02)
        assert client.wallet.analytics(days=1)["daily"][0]["total"] == 0.02
        assert client.wallet.pricing()["base_rate_per_min"] == 0.1
        assert client.users.stats()["total_calls"] == 1
        assert client.users.usage(days=1)["total_credits"] == "0.020000"
        assert client.users.daily_usage(days=1)[0]["calls_made"] == 1
        assert client.agents.global_stats()["calls_today"] == 1
        agent_id = client.agents.list()[0]["agent_id"]
        assert client.agents.stats(agent_id, days=1)["total_cost_usd"] == 0.02
