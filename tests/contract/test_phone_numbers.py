"""Numbers of one's own, the trunks they come over, and the agents that answer them."""

import asyncio
import sqlite3
from itertools import count

import pytest
from call2me import Call2Me, Call2MeError

from api.db.engine import Database
from api.phone_numbers import routing
from api.settings import Settings
from tests.support.api import AGENT, Api, Person

_numbers = count(5_000_000)


def _new() -> str:
    return f"+90533{next(_numbers)}"


def _routed(api: Api, number: str, trunk_id: str | None = None) -> routing.Route | None:
    """What the exchange is told of a number."""

    async def ask() -> routing.Route | None:
        settings = Settings.load(api.environment)
        from api.db.vault import Vault

        database = Database(settings.database_url, Vault.of(settings))
        async with database.transaction(writes=False) as session:
            found = await routing.inbound(session, number, trunk_id)
        await database.close()
        return found

    return asyncio.run(ask())


def test_a_number_is_answered_by_the_agent_it_is_bound_to(api: Api, person: Person) -> None:
    agent_id = person.made("/v1/agents", AGENT)["agent_id"]
    number = _new()
    made = person.made("/v1/phone-numbers", {"phone_number": number, "display_name": "Desk"})
    assert (made["number"], made["agent_id"], made["status"], made["provider"]) == (
        number,
        None,
        "active",
        "sip",
    )
    assert person.ask("GET", f"/v1/phone-numbers/{number}/agent").status == 404
    assert person.ask("GET", "/v1/users/me/stats").json["total_phone_numbers"] == 1
    bound = person.ask("POST", f"/v1/phone-numbers/{number}/assign", {"agent_id": agent_id})
    assert (bound.status, bound.json["agent_name"]) == (200, "Reception")
    answering = person.ask("GET", f"/v1/phone-numbers/{number}/agent").json
    assert (answering["agent_id"], answering["system_prompt"]) == (agent_id, "You answer the phone.")
    route = _routed(api, number)
    assert route is not None
    assert route.agent_id == agent_id
    assert person.ask("DELETE", f"/v1/phone-numbers/{number}/unbind").json["agent_id"] is None
    assert person.ask("DELETE", f"/v1/phone-numbers/{number}").status == 204
    assert _routed(api, number) is None


def test_a_number_whose_agent_is_deleted_is_answered_by_nobody(api: Api, person: Person) -> None:
    agent_id = person.made("/v1/agents", AGENT)["agent_id"]
    number = person.made("/v1/phone-numbers", {"number": _new(), "agent_id": agent_id})["number"]
    person.ask("DELETE", f"/v1/agents/{agent_id}")
    assert person.ask("GET", f"/v1/phone-numbers/{number}").json["agent_id"] is None
    route = _routed(api, number)
    assert route is not None
    assert route.agent_id is None


def test_a_number_has_one_owner(api: Api, person: Person) -> None:
    number = person.made("/v1/phone-numbers", {"number": _new()})["number"]
    assert api.person().ask("POST", "/v1/phone-numbers", {"number": number}).status == 409
    assert person.ask("POST", "/v1/phone-numbers", {"number": number}).status == 409


def test_a_local_turkish_number_is_kept_with_its_country(person: Person) -> None:
    local = f"0534 {next(_numbers)}"
    number = person.made("/v1/phone-numbers", {"number": local})["number"]
    assert number.startswith("+90534")
    assert person.ask("GET", f"/v1/phone-numbers/{number.replace('+', '%2B')}").json["number"] == number


@pytest.mark.parametrize("number", ["", "12", "+1", "hello", "+9999999999999999", "☎"])
def test_what_is_no_number_is_refused(person: Person, number: str) -> None:
    assert person.ask("POST", "/v1/phone-numbers", {"number": number}).status == 422
    assert person.ask("GET", "/v1/phone-numbers").json == []


def test_a_number_is_bound_only_to_what_is_ones_own(api: Api, person: Person) -> None:
    stranger = api.person()
    theirs = stranger.made("/v1/agents", AGENT)["agent_id"]
    trunk = stranger.made("/v1/sip-trunks", {"name": "T", "sip_server": "9.9.9.9"})["trunk_id"]
    number = person.made("/v1/phone-numbers", {"number": _new()})["number"]
    assert person.ask("POST", f"/v1/phone-numbers/{number}/bind", {"agent_id": theirs}).status == 404
    for nobodys in ({"trunk_id": trunk}, {"trunk_id": "trunk_0"}, {"agent_id": "agent_000000000000"}):
        assert person.ask("PATCH", f"/v1/phone-numbers/{number}", nobodys).status == 404, nobodys
    kept = person.ask("GET", f"/v1/phone-numbers/{number}").json
    assert (kept["agent_id"], kept["trunk_id"]) == (None, None)


def test_a_number_takes_calls_from_its_own_trunk_alone(api: Api, person: Person) -> None:
    mine = person.made("/v1/sip-trunks", {"name": "T", "sip_server": "9.9.9.9"})["trunk_id"]
    number = person.made("/v1/phone-numbers", {"number": _new(), "trunk_id": mine})["number"]
    assert person.ask("GET", f"/v1/sip-trunks/{mine}").json["phone_number_count"] == 1
    route = _routed(api, number, mine)
    assert route is not None
    assert route.trunk is not None
    assert route.trunk.id == mine
    assert _routed(api, number, "trunk_of_somebody") is None
    person.ask("PATCH", f"/v1/phone-numbers/{number}", {"active": False})
    assert _routed(api, number, mine) is None
    assert person.ask("GET", f"/v1/phone-numbers/{number}").json["status"] == "inactive"


def test_nothing_is_bought_without_a_carrier(person: Person) -> None:
    for path, body in (
        ("/v1/numbers/purchase", {"phone_number": "+14155550123"}),
        ("/v1/phone-numbers/buy", {"country": "US"}),
        ("/v1/numbers/checkout", {"phone_number": "+14155550123"}),
        ("/v1/phone-numbers", {"country": "US", "type": "local"}),
    ):
        reply = person.ask("POST", path, body)
        assert reply.status == 503
        assert "No carrier is set up" in reply.detail
        assert "TELNYX_API_KEY" in reply.detail
    assert person.ask("GET", "/v1/numbers/search?country=US").status == 503
    assert person.ask("GET", "/v1/numbers/allowed-countries").json == {"countries": []}
    assert person.ask("GET", "/v1/phone-numbers").json == []


# ── trunks ───────────────────────────────────────────────────────────────────────────────────────
TRUNK = {
    "name": "Carrier",
    "sip_server": "9.9.9.7:5080",
    "sip_username": "acme",
    "sip_password": "not-to-be-seen",
    "sip_transport": "tcp",
    "allowed_addresses": ["198.51.100.0/24", "9.9.9.7", "2001:db8::1/128"],
}


def test_a_trunks_password_is_sealed_and_never_shown(api: Api, person: Person) -> None:
    reply = person.ask("POST", "/v1/sip-trunks", TRUNK)
    assert reply.status == 201
    made = reply.json
    assert (made["has_password"], made["sip_register"], made["active"]) == (True, True, True)
    assert made["allowed_addresses"] == ["198.51.100.0/24", "9.9.9.7", "2001:db8::1"]
    for shown in (reply.raw, person.ask("GET", "/v1/sip-trunks").raw, api.log.read_bytes()):
        assert b"not-to-be-seen" not in shown
    if not Settings.load(api.environment).database_url.startswith("sqlite"):
        return
    with sqlite3.connect(api.home / "call2me.sqlite") as connection:
        (kept,) = connection.execute(
            "SELECT sip_password FROM sip_trunks WHERE id = ?", (made["trunk_id"],)
        ).fetchone()
    connection.close()
    assert "not-to-be-seen" not in kept
    assert kept.startswith("gAAAA")


def test_a_trunk_changes_only_in_what_was_sent(person: Person) -> None:
    trunk_id = person.made("/v1/sip-trunks", TRUNK)["trunk_id"]
    changed = person.ask("PATCH", f"/v1/sip-trunks/{trunk_id}", {"name": "Other", "sip_password": None}).json
    assert (changed["name"], changed["has_password"], changed["sip_server"]) == (
        "Other",
        True,
        "9.9.9.7:5080",
    )
    emptied = person.ask("PATCH", f"/v1/sip-trunks/{trunk_id}", {"sip_username": "", "sip_password": ""}).json
    assert (emptied["sip_username"], emptied["has_password"], emptied["sip_register"]) == (None, False, False)
    assert person.ask("GET", f"/v1/sip-trunks/{trunk_id}").json == emptied


def test_a_trunk_that_no_name_server_knows_is_not_active(person: Person) -> None:
    made = person.made("/v1/sip-trunks", {"name": "T", "sip_server": "no-such-host.invalid"})
    assert made["active"] is False
    tried = person.ask("POST", f"/v1/sip-trunks/{made['trunk_id']}/test").json
    assert (tried["success"], tried["message"]) == (False, "No name server knows no-such-host.invalid.")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("sip_server", "sip:host"),
        ("sip_server", "host:99999"),
        ("sip_server", "127.0.0.1"),
        ("sip_server", "10.0.0.5:5060"),
        ("sip_transport", "smoke"),
        ("allowed_addresses", ["0.0.0.0/0"]),
        ("allowed_addresses", ["here"]),
        ("allowed_addresses", ["9.9.9.1"] * 101),
        ("sip_proxies", ["169.254.169.254"]),
        ("sip_username", "a\r\nVia: b"),
        ("outbound_caller_id", "x\ny"),
        ("name", ""),
    ],
)
def test_a_trunk_with_something_wrong_is_refused(person: Person, field: str, value: object) -> None:
    reply = person.ask("POST", "/v1/sip-trunks", {**TRUNK, field: value})
    assert reply.status == 422
    assert reply.detail[0]["loc"][:2] == ["body", field]
    assert person.ask("GET", "/v1/sip-trunks").json == []


def test_numbers_outlive_their_trunk(person: Person) -> None:
    trunk_id = person.made("/v1/sip-trunks", TRUNK)["trunk_id"]
    number = person.made("/v1/phone-numbers", {"number": _new(), "trunk_id": trunk_id})["number"]
    assert person.ask("DELETE", f"/v1/sip-trunks/{trunk_id}").status == 204
    assert person.ask("GET", f"/v1/phone-numbers/{number}").json["trunk_id"] is None


# ── the official SDK ─────────────────────────────────────────────────────────────────────────────
def test_the_sdk_keeps_numbers_and_trunks(api: Api, person: Person) -> None:
    key = person.made("/v1/api-keys", {"name": "SDK"})["api_key"]
    agent_id = person.made("/v1/agents", AGENT)["agent_id"]
    number = _new()
    with Call2Me(api_key=key, base_url=api.url) as client:
        trunk = client.sip_trunks.create("Carrier", "9.9.9.7", "acme", "secret", sip_transport="udp")
        made = client.phone_numbers.create(number, trunk_id=trunk["trunk_id"], display_name="Desk")
        assert made["trunk_name"] == "Carrier"
        assert [one["number"] for one in client.phone_numbers.list()] == [number]
        assert client.phone_numbers.update(number, display_name="Front")["display_name"] == "Front"
        assert client.phone_numbers.bind_agent(number, agent_id)["agent_id"] == agent_id
        assert client.phone_numbers.get(number)["agent_name"] == "Reception"
        assert client.phone_numbers.unbind_agent(number)
        assert client.phone_numbers.get(number)["agent_id"] is None
        assert client.sip_trunks.list()[0]["phone_number_count"] == 1
        assert client.sip_trunks.update(trunk["trunk_id"], name="New")["name"] == "New"
        assert client.sip_trunks.get(trunk["trunk_id"])["name"] == "New"
        assert client.sip_trunks.test(trunk["trunk_id"])["success"] is False
        assert client.sip_trunks.delete(trunk["trunk_id"])
        assert client.phone_numbers.delete(number)
        assert client.phone_numbers.list() == []
        with pytest.raises(Call2MeError) as refused:
            client.numbers.purchase(number)
        assert refused.value.status_code == 503
