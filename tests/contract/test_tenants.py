"""Resellers: invites, members, credit, margins and brands, seen from both sides."""

import time
from typing import Any

import pytest

from api.settings import Settings
from api.up import money
from tests.support.api import AGENT, PASSWORD, Api, Person
from tests.support.letters import token_in, wait_for

TENANT = "/v1/users/me/tenant"


def credit(person: Person, usd: str) -> None:
    money.credit(Settings.load(person.api.environment), person.email, usd, "A present")


def balance(person: Person) -> str:
    return str(person.ask("GET", "/v1/users/me/balance").json["balance_usd"])


def member_of(owner: Person, email: str, **more: Any) -> Person:
    """Somebody who came by an invite."""
    token = owner.made(f"{TENANT}/invites", {"email": email, **more})["invite_url"].split("#invite=")[1]
    body = {"token": token, "password": PASSWORD, "full_name": "Bea"}
    accepted = owner.api.ask("POST", "/v1/auth/invite/accept", body)
    assert accepted.status == 200, accepted.raw
    return Person(owner.api, email, accepted.json)


def fresh(name: str) -> str:
    return f"{name}-{time.time_ns()}@example.com"


def test_an_invite_is_a_letter_that_makes_a_member_with_the_credit_that_was_promised(
    api: Api, person: Person
) -> None:
    credit(person, "10")
    person.ask("PUT", "/v1/users/me/branding", {"app_name": "Ada Voice"})
    email = fresh("bea")
    made = person.made(f"{TENANT}/invites", {"email": email, "initial_credit_usd": "2.5", "note": "A friend"})
    assert (made["status"], made["initial_credit_usd"]) == ("pending", "2.500000")
    token = token_in(wait_for(api, email, "You are invited to Ada Voice"), "invite")
    assert made["invite_url"].endswith(token)
    told = api.ask("GET", f"/v1/auth/invite/{token}").json
    assert told == {
        "valid": True,
        "email": email,
        "brand": "Ada Voice",
        "initial_credit_usd": 2.5,
        "status": "pending",
    }
    body = {"token": token, "password": PASSWORD, "full_name": "Bea"}
    accepted = api.ask("POST", "/v1/auth/invite/accept", body)
    assert accepted.status == 200
    member = Person(api, email, accepted.json)
    me = member.ask("GET", "/v1/users/me").json
    assert (me["is_tenant_member"], me["email_verified"], me["full_name"]) == (True, True, "Bea")
    assert (balance(member), balance(person)) == ("2.500000", "7.500000")
    assert member.ask("GET", "/v1/users/me/branding").json["app_name"] == "Ada Voice"
    assert api.ask("POST", "/v1/auth/login", {"email": email, "password": PASSWORD}).status == 200
    # It is used up, and its owner sees that.
    assert api.ask("POST", "/v1/auth/invite/accept", body).status == 400
    assert api.ask("GET", f"/v1/auth/invite/{token}").json["status"] == "accepted"
    listed = person.ask("GET", f"{TENANT}/invites").json
    assert (listed[0]["status"], "invite_url" in listed[0]) == ("accepted", False)
    assert person.ask("DELETE", f"{TENANT}/invites/{made['invite_id']}").status == 409


def test_a_revoked_and_a_made_up_invite_are_good_for_nothing(api: Api, person: Person) -> None:
    made = person.made(f"{TENANT}/invites", {"email": fresh("gone")})
    token = made["invite_url"].split("#invite=")[1]
    for _ in range(2):
        assert person.ask("DELETE", f"{TENANT}/invites/{made['invite_id']}").status == 200
    assert api.ask("GET", f"/v1/auth/invite/{token}").json["valid"] is False
    assert api.ask("GET", "/v1/auth/invite/made-up").json == {
        "valid": False,
        "email": None,
        "brand": None,
        "initial_credit_usd": 0.0,
        "status": None,
    }
    for wrong in (token, "invite_made-up-made-up-made-up"):
        body = {"token": wrong, "password": PASSWORD}
        assert api.ask("POST", "/v1/auth/invite/accept", body).status == 400
    assert person.ask("GET", f"{TENANT}/members").json["total_members"] == 0


def test_nobody_becomes_a_member_with_an_account_of_their_own(api: Api, person: Person) -> None:
    other = api.person()
    made = person.made(f"{TENANT}/invites", {"email": other.email})
    body = {"token": made["invite_url"].split("#invite=")[1], "password": PASSWORD}
    assert api.ask("POST", "/v1/auth/invite/accept", body).status == 409
    assert other.ask("GET", "/v1/users/me").json["is_tenant_member"] is False
    assert person.ask("GET", f"{TENANT}/members").json["members"] == []


def test_who_promised_more_than_they_have_gets_a_letter_and_a_member(api: Api, person: Person) -> None:
    member = member_of(person, fresh("poor"), initial_credit_usd=5)
    assert (balance(member), balance(person)) == ("0.000000", "0.000000")
    assert member.email in wait_for(api, person.email, "A member came without their starting credit")


def test_members_are_listed_found_and_counted_but_never_read(api: Api, person: Person) -> None:
    credit(person, "10")
    first = member_of(person, fresh("anna"), initial_credit_usd=1)
    second = member_of(person, fresh("zoe"), initial_credit_usd=3)
    first.made("/v1/agents", AGENT)
    stats = person.ask("GET", f"{TENANT}/members?sort=balance&order=desc").json
    assert [row["email"] for row in stats["members"]] == [second.email, first.email]
    assert (stats["total_members"], stats["total_agents"], stats["total_balance_usd"]) == (2, 1, "4.000000")
    assert stats["members"][1]["total_agents"] == 1
    found = person.ask("GET", f"{TENANT}/members?search=ANNA&per_page=1").json
    assert ([row["email"] for row in found["members"]], found["total"]) == ([first.email], 1)
    page = person.ask("GET", f"{TENANT}/members?sort=email&order=asc&per_page=1&page=2").json
    assert [row["email"] for row in page["members"]] == [second.email]
    member_id = first.credentials["user"]["user_id"]
    detail = person.ask("GET", f"{TENANT}/members/{member_id}").json
    assert detail["member"]["email"] == first.email
    assert [row["type"] for row in detail["recent_ledger"]] == ["transfer"]
    assert (detail["calls_this_month"], detail["spend_this_month"]) == (0, "0.000000")
    assert first.ask("GET", "/v1/agents").json[0]["agent_id"] not in str(detail)


def test_credit_moves_from_the_owner_to_the_member_and_never_below_nothing(api: Api, person: Person) -> None:
    credit(person, "5")
    member = member_of(person, fresh("m"))
    member_id = member.credentials["user"]["user_id"]
    give = {"member_id": member_id, "amount_usd": "1.25", "note": "For May"}
    given = person.ask("POST", f"{TENANT}/members/credit", give)
    assert given.status == 200, given.raw
    assert (given.json["balance_usd"], given.json["member_balance_usd"]) == ("3.750000", "1.250000")
    assert (balance(person), balance(member)) == ("3.750000", "1.250000")
    listed = member.ask("GET", "/v1/wallet/transactions").json["transactions"]
    assert (listed[0]["type"], listed[0]["amount_usd"], listed[0]["description"]) == (
        "transfer",
        1.25,
        "For May",
    )
    assert person.ask("GET", "/v1/wallet/transactions?type=transfer").json["total"] == 1
    assert person.ask("POST", f"{TENANT}/members/credit", {**give, "amount_usd": 4}).status == 402
    assert (balance(person), balance(member)) == ("3.750000", "1.250000")
    for wrong in (0, -1, 1000.01, "1e3000", "x"):
        assert person.ask("POST", f"{TENANT}/members/credit", {**give, "amount_usd": wrong}).status == 422
    entry = person.ask("GET", "/v1/audit-log?action=credit_tenant_member").json["entries"]
    assert [one["target"] for one in entry] == [{"member_id": member_id, "amount_usd": "1.250000"}]
    assert money.check(Settings.load(api.environment)) == []


def test_credit_for_many_looks_at_the_sum_first_and_names_who_got_none(api: Api, person: Person) -> None:
    credit(person, "5")
    members = [member_of(person, fresh(f"m{n}")) for n in range(2)]
    ids = [member.credentials["user"]["user_id"] for member in members]
    stranger = api.person().credentials["user"]["user_id"]
    bulk = {"member_ids": [*ids, stranger, ids[0]], "amount_usd": 1}
    done = person.ask("POST", f"{TENANT}/members/bulk-credit", bulk).json
    assert (done["granted"], done["failed"], done["total_usd"]) == (2, 1, "2.000000")
    assert done["errors"] == [{"member_id": stranger, "error": "Member not found"}]
    assert [balance(member) for member in members] == ["1.000000", "1.000000"]
    assert balance(person) == "3.000000"
    assert person.ask("POST", f"{TENANT}/members/bulk-credit", {**bulk, "amount_usd": 2}).status == 402
    assert balance(person) == "3.000000"
    assert len(person.ask("GET", "/v1/audit-log?action=credit_tenant_members").json["entries"]) == 2
    assert money.check(Settings.load(api.environment)) == []


def test_a_quick_login_signs_in_a_member_once_and_nobody_else(api: Api, person: Person) -> None:
    email = fresh("quick")
    made = person.ask("POST", "/v1/auth/quick-login", {"email": email, "full_name": "Q", "expires_hours": 1})
    assert (made.status, made.json["is_new_user"]) == (200, True)
    token = made.json["url"].split("#link=")[1]
    signed_in = api.ask("POST", "/v1/auth/quick-login/verify", {"token": token})
    assert signed_in.json["user"]["user_id"] == made.json["user_id"]
    assert signed_in.json["user"]["is_tenant_member"] is True
    assert api.ask("POST", "/v1/auth/quick-login/verify", {"token": token}).status == 401
    again = person.ask("POST", "/v1/auth/quick-login", {"email": email}).json
    assert (again["is_new_user"], again["user_id"]) == (False, made.json["user_id"])
    for other in (api.person().email, person.email):
        assert person.ask("POST", "/v1/auth/quick-login", {"email": other}).status == 409
    stranger = api.person()
    assert stranger.ask("POST", "/v1/auth/quick-login", {"email": email}).status == 409
    assert person.ask("POST", "/v1/auth/quick-login", {"email": email, "expires_hours": 169}).status == 422


def test_the_trend_has_every_day_and_the_margin_is_kept(person: Person) -> None:
    trend = person.ask("GET", f"{TENANT}/trend?days=7").json
    assert len(trend) == 7
    assert [day["date"] for day in trend] == sorted(day["date"] for day in trend)
    assert trend[0] == {**trend[0], "calls": 0, "spend_usd": "0.000000", "earnings_usd": "0.000000"}
    assert person.ask("GET", f"{TENANT}/pricing").json == {"margin_percent": 0.0, "list_rate_per_min": 0.1}
    assert person.ask("PUT", f"{TENANT}/pricing", {"margin_percent": "25.5"}).json["margin_percent"] == 25.5
    assert person.ask("GET", f"{TENANT}/pricing").json["margin_percent"] == 25.5
    for wrong in (-1, 1000.5, "x"):
        assert person.ask("PUT", f"{TENANT}/pricing", {"margin_percent": wrong}).status == 422


def test_a_brand_is_found_by_its_domain_and_a_domain_is_one_owners(api: Api, person: Person) -> None:
    domain = f"voice-{time.time_ns()}.example.com"
    brand = {
        "app_name": "Ada",
        "logo_url": "https://example.com/logo.svg",
        "primary_color": "#6366f1",
        "support_email": "help@example.com",
        "custom_domain": domain.upper(),
        "hide_powered_by": True,
    }
    assert person.ask("PUT", "/v1/users/me/branding", brand).json["custom_domain"] == domain
    found = api.ask("GET", f"/v1/branding/{domain}").json
    assert found == person.ask("GET", "/v1/users/me/branding").json
    assert (found["app_name"], found["accent_color"], found["hide_powered_by"]) == ("Ada", None, True)
    # As it is asked for by a page on that very domain, through a proxy: by whatever name we are called.
    through = {"Host": domain, "X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "https"}
    assert api.ask("GET", f"/v1/branding/{domain.upper()}.", headers=through).json == found
    agent_id = person.made("/v1/agents", AGENT)["agent_id"]
    slug = domain.split(".", maxsplit=1)[0]
    person.made("/v1/widgets", {"agent_id": agent_id, "name": "Ada", "public_slug": slug})
    page = api.ask("GET", f"/a/{slug}", headers={**through, "Accept": "text/html"})
    assert (page.status, page.headers["content-type"].split(";")[0]) == (200, "text/html")
    invited = person.ask("POST", f"{TENANT}/invites", {"email": f"{slug}@example.com"}, headers=through).json
    assert domain not in invited["invite_url"], "a Host header leads nobody's letter astray"
    other = api.person()
    assert other.ask("PUT", "/v1/users/me/branding", {"custom_domain": domain}).status == 409
    assert other.ask("GET", "/v1/users/me/branding").json["custom_domain"] is None
    assert api.ask("GET", "/v1/branding/nobody.example.com").status == 404
    person.ask("PUT", "/v1/users/me/branding", {})
    assert api.ask("GET", f"/v1/branding/{domain}").status == 404


@pytest.mark.parametrize(
    "wrong",
    [
        {"app_name": "a" * 101},
        {"app_name": "<script>"},
        {"logo_url": "javascript:alert(1)"},
        {"logo_url": 'https://example.com/"onerror=x'},
        {"favicon_url": "data:image/png;base64,x"},
        {"primary_color": "red;}body{"},
        {"support_email": "nobody"},
        {"custom_domain": "https://example.com"},
        {"custom_domain": "127.0.0.1"},
        {"custom_domain": "localhost"},
    ],
    ids=str,
)
def test_a_brand_that_a_page_could_not_show_is_refused(person: Person, wrong: dict[str, Any]) -> None:
    assert person.ask("PUT", "/v1/users/me/branding", wrong).status == 422


def test_the_checklist_is_kept(person: Person) -> None:
    first = person.ask("PATCH", "/v1/users/me/onboarding", {"completed": ["agent"], "hidden": False})
    assert first.json == {"completed": ["agent"], "hidden": False}
    person.ask("PATCH", "/v1/users/me/onboarding", {"dismissed": ["call"]})
    kept = person.ask("GET", "/v1/users/me/stats").json["onboarding"]
    assert kept == {"completed": ["agent"], "hidden": False, "dismissed": ["call"]}
    assert person.ask("PATCH", "/v1/users/me/onboarding", {"completed": ["x"] * 51}).status == 422
