"""POST /v1/demo/call: strangers are called, by whom the operator named, once a day, for a minute."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from api.calls.phoning import NoPhoneLine
from api.http.errors import sentence
from tests.contract.conftest import DEMO_CALLER, House
from tests.support.api import AGENT, Reply
from tests.support.rehearsed_exchange import dialled, exchange_is, line

TRUNK = {"name": "Carrier", "sip_server": "1.2.3.4:5099", "sip_username": "me", "sip_password": "secret"}
__all__ = ["line"]


def ask(house: House, number: str, **more: Any) -> Reply:
    return house.api.ask("POST", "/v1/demo/call", {"phone_number": number, **more})


@pytest.mark.usefixtures("line")
def test_a_stranger_is_called_once_a_day_for_a_minute(house: House) -> None:
    owner, other = house.person(), house.person()
    refused = [ask(house, "+14155552671") for _ in range(2)]
    assert [(one.status, one.detail) for one in refused] == [(503, sentence(NoPhoneLine))] * 2
    agent_id = owner.made("/v1/agents", AGENT)["agent_id"]
    trunk_id = owner.made("/v1/sip-trunks", TRUNK)["trunk_id"]
    owner.made("/v1/phone-numbers", {"number": DEMO_CALLER, "agent_id": agent_id, "trunk_id": trunk_id})
    with ThreadPoolExecutor(4) as pool:
        replies = list(pool.map(lambda _: ask(house, "(415) 555-2671", name="Ada"), range(4)))
    assert sorted(reply.status for reply in replies) == [200, 429, 429, 429]
    [made] = [reply.json for reply in replies if reply.status == 200]
    assert 0 < int(next(reply for reply in replies if reply.status == 429).headers["retry-after"]) <= 86_400
    order = dialled(house, made["call_id"])
    assert (order["to_number"], order["from_number"]) == ("+14155552671", DEMO_CALLER)
    call = owner.ask("GET", f"/v1/calls/{made['call_id']}").json
    assert (call["agent_id"], call["metadata"], call["direction"]) == (
        agent_id,
        {"source": "demo"},
        "outbound",
    )
    brief = house.worker.brief(made["call_id"]).json
    assert (brief["max_duration_seconds"], brief["variables"]["name"]) == (60, "Ada")
    assert other.ask("GET", f"/v1/calls/{made['call_id']}").status == 404

    hidden = owner.made("/v1/agents", AGENT)["agent_id"]
    theirs = other.ask("GET", "/v1/agents").json[0]["agent_id"]
    for nobodys in (hidden, theirs, "agent_000000000000"):
        assert ask(house, "+14155552672", agent_id=nobodys).status == 404, "only who answers a telephone"
    owner.made("/v1/phone-numbers", {"number": "+905337654322", "agent_id": hidden, "trunk_id": trunk_id})
    shown = ask(house, "+14155552672", agent_id=hidden)
    assert owner.ask("GET", f"/v1/calls/{shown.json['call_id']}").json["agent_id"] == hidden
    assert ask(house, "+14155552673", website="x").status == 422
    owner.made("/v1/do-not-call", {"phone_number": "+14155552674", "reason": "asked for it"})
    assert ask(house, "+14155552674").status == 403
    house.worker.status["phones_why_not"] = "no exchange"
    exchange_is(house, "down")
    assert ask(house, "+14155552675").status == 503
    owner.ask("DELETE", f"/v1/phone-numbers/{DEMO_CALLER}")
