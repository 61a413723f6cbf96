"""Whom an installation does not call: refused with a sentence, before a call is written."""

import time
from collections.abc import Iterator

import pytest

from tests.support.api import Person
from tests.support.house import House, running_house
from tests.support.rehearsed_exchange import bound, dialled, goes, line, rings, until
from tests.support.rehearsed_worker import Script, moment

__all__ = ["line"]
REFUSED = {
    "+19002345678": "Premium",
    "+908881234567": "Premium",
    "+905339876543": "",
    "+4930123456": "country",
    "+881612345678": "begin",
    "+14155550123": "",
    "+18765550123": "country",  # Jamaica shares its code with the United States
}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One that calls two countries."""
    with running_house(
        tmp_path_factory.mktemp("tolls"), CALL2ME_DIAL_COUNTRIES="tr, US", CALL2ME_DIAL_DAILY_USD="5"
    ) as house:
        yield house


@pytest.fixture
def owner(house: House) -> Person:
    return house.person()


@pytest.mark.usefixtures("line")
def test_what_must_not_be_dialled_is_refused_and_nothing_is_written(house: House, owner: Person) -> None:
    agent_id, _, _ = bound(owner)
    allowed = [number for number, word in REFUSED.items() if not word]
    for number, word in REFUSED.items():
        reply = owner.ask("POST", "/v1/calls", {"agent_id": agent_id, "to_number": number})
        assert reply.status == (403 if word else 201), (number, reply.raw)
        assert word in (reply.detail if word else ""), number
    assert owner.ask("GET", "/v1/calls").json["total"] == len(allowed)
    time.sleep(1.5)
    dialled = [order["to_number"] for order in list(house.worker.orders) if order.get("kind") == "dial"]
    assert sorted(dialled) == sorted(allowed)


@pytest.mark.usefixtures("line")
def test_a_call_is_handed_on_by_the_same_rules(house: House, owner: Person) -> None:
    _, number, trunk_id = bound(owner)
    call_id = rings(house, trunk_id, number, "onward@carrier").json["call_id"]
    path = f"/internal/phones/calls/{call_id}/onward"
    told = [
        (asked, house.worker._internal("POST", path, {"to_number": asked}))
        for asked in (
            "+19002345678",
            "+4930123456",
            "nobody",
            "x" * 99,
            "0533 987 65 43",
            "101",
            "911",
            "155",
        )
    ]
    assert [reply.status for _, reply in told] == [403, 403, 403, 403, 200, 200, 403, 403]
    assert told[4][1].json == {
        "to_number": "+905339876543",
        "from_number": number,
        "server": "1.2.3.4:5099",
    }
    assert told[5][1].json["to_number"] == "101"
    assert house.worker._internal("POST", path, {"to_number": "1" * 101}).status == 422
    goes(house, call_id, "ended", 200, "OK")
    assert house.worker._internal("POST", path, {"to_number": "101"}).status == 404
    assert owner.ask("POST", path, {"to_number": "101"}).status in {401, 403}


@pytest.mark.usefixtures("line")
def test_a_campaign_skips_whom_it_must_not_call(house: House, owner: Person) -> None:
    agent_id, number, _ = bound(owner)
    wanted = {"agent_id": agent_id, "name": "Fair", "from_number": number}
    path = f"/v1/campaigns/{owner.made('/v1/campaigns', wanted)['campaign_id']}"
    assert owner.ask("PATCH", path, {"calling_hours": "any"}).status == 200
    owner.made(f"{path}/contacts", {"contacts": [{"phone_number": "+908881234567"}]})
    assert owner.ask("POST", f"{path}/start").status == 200
    until(lambda: owner.ask("GET", path).json["status"] == "completed", 20)
    assert owner.ask("GET", f"{path}/results").json["skipped_reasons"] == {"destination_refused": 1}
    assert owner.ask("GET", "/v1/calls").json["total"] == 0


@pytest.mark.usefixtures("line")
def test_who_has_spent_enough_today_calls_nobody_any_more(house: House, owner: Person) -> None:
    agent_id, number, trunk_id = bound(owner)
    asked = {"agent_id": agent_id, "to_number": "+905339876543"}
    call_id = owner.made("/v1/calls", asked)["call_id"]
    dialled(house, call_id)
    assert house.worker.brief(call_id).status == 200
    script = Script(call_id)
    house.worker.tell(script.started(), script.said("user", "Hi.", 1, 2), script.ended(2 * 3600))
    charged = "/v1/wallet/transactions"
    until(lambda: [one for one in owner.ask("GET", charged).json["transactions"] if one["call_id"]], 30)
    came_in = rings(house, trunk_id, number, "spent@carrier").json["call_id"]
    refused = owner.ask("POST", "/v1/calls", asked)
    assert (refused.status, "24 hours" in refused.detail) == (429, True), refused.raw
    assert owner.ask("DELETE", f"/v1/calls/{call_id}").status in {200, 204}
    assert owner.ask("POST", "/v1/calls", asked).status == 429, "deleting a call makes no room"
    onward = f"/internal/phones/calls/{came_in}/onward"
    assert house.worker._internal("POST", onward, {"to_number": "+905339876543"}).status == 403
    other = house.person()
    assert other.ask("POST", "/v1/calls", {**asked, "agent_id": bound(other)[0]}).status == 201


@pytest.mark.usefixtures("line")
def test_who_was_put_through_to_somebody_counts_as_one_whom_we_called(house: House, owner: Person) -> None:
    agent_id, number, trunk_id = bound(owner)
    call_id = rings(house, trunk_id, number, "through@carrier").json["call_id"]
    assert house.worker.brief(call_id).status == 200
    script = Script(call_id)
    house.worker.tell(
        script.started(), {**script.ended(10, "transferred", "transferred"), "is_bridged": True}
    )
    goes(house, call_id, "ended", 200, "OK", at=moment(2 * 3600))
    charged = "/v1/wallet/transactions"
    until(lambda: [one for one in owner.ask("GET", charged).json["transactions"] if one["call_id"]], 30)
    asked = {"agent_id": agent_id, "to_number": "+905339876543"}
    assert owner.ask("POST", "/v1/calls", asked).status == 429
