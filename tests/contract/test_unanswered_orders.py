"""Orders to call somebody that nobody answers: whether they were called is found out, and nobody is twice."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.contract.conftest import House
from tests.support.api import Person
from tests.support.rehearsed_exchange import JOURNAL, bound, goes, line, owner, until

__all__ = ["line", "owner"]

LOST, GONE, RANG, LATE, AGREED = (f"+1415555013{nth}" for nth in range(5))
"""Of these nobody was called, nobody knows, and it rang; nobody knows of two that an exchange had when it
died, and one of these may be called again all the same."""


@pytest.mark.usefixtures("line")
def test_an_order_without_an_answer_is_withdrawn_and_dialled_again_only_where_nobody_was_called(
    house: House, owner: Person
) -> None:
    agent_id, _, _ = bound(owner)
    to: dict[str, str] = {}
    dials: Counter[str] = Counter()
    asked: Counter[str] = Counter()

    def obeys(order: dict[str, Any]) -> dict[str, Any] | None:
        call_id = order["call_id"]
        if order["kind"] == "dial":
            is_again = order["to_number"] in to.values()
            to[call_id] = order["to_number"]
            dials[order["to_number"]] += 1
            return {"outcome": "done"} if is_again else None
        assert order["journal"] == JOURNAL
        number = to[call_id]
        asked[number] += 1
        if number == LOST:
            return {"outcome": "not_here" if asked[LOST] == 1 else "done"}
        return {"outcome": "unknown" if number == GONE else "refused"}

    house.worker.obeys = obeys
    retry = {"count": 1, "delay_minutes": 0, "on": ["failed", "no_answer", "busy"]}
    known = {RANG: None, AGREED: {**retry, "on": ["unsure"]}}
    with ThreadPoolExecutor(5) as pool:
        for number in (LOST, GONE, RANG, LATE, AGREED):
            wanted = {"agent_id": agent_id, "to_number": number, "retry": known.get(number, retry)}
            pool.submit(owner.made, "/v1/calls", wanted)
        until(lambda: len(to) == 5)
        id_of = {number: call_id for call_id, number in to.items()}
        goes(house, id_of[RANG], "ringing", 180, "Ringing")

    def calls(number: str) -> list[tuple[str, str | None]]:
        found = [one for one in owner.ask("GET", "/v1/calls").json["calls"] if one["to_number"] == number]
        return [(one["call_status"], one["disconnection_reason"]) for one in found]

    assert until(lambda: len(found := calls(LOST)) == 2 and found) == [
        ("pending", None),
        ("failed", "not_dialled: the order was lost on its way to the exchange"),
    ]
    until(lambda: asked[LATE] and asked[AGREED])
    assert calls(LATE) == [("pending", None)], "it is with the exchange, which will tell"
    for number in (LATE, AGREED):
        goes(house, id_of[number], "ended", 0, "the exchange was restarted", is_unsure=True)
    until(lambda: list(to.values()).count(AGREED) == 2)
    assert calls(LATE) == [("failed", "unsure: the exchange was restarted")]
    assert calls(AGREED)[1:] == [("failed", "unsure: the exchange was restarted")]
    gone = [("failed", "unsure: the journal of whoever was to call them is gone")]
    assert until(lambda: calls(GONE) != [("pending", None)] and calls(GONE)) == gone
    assert calls(RANG) == [("ringing", None)], "what is told of goes on"
    goes(house, id_of[RANG], "ended", 486, "Busy Here")
    goes(house, id_of[RANG], "ended", 0, "the exchange was restarted", is_unsure=True)
    assert owner.ask("GET", f"/v1/calls/{id_of[RANG]}").json["sip_code"] == 486
    assert Counter(to.values()) == {LOST: 2, GONE: 1, RANG: 1, LATE: 1, AGREED: 2}
    assert dials == {LOST: 2, GONE: 1, RANG: 1, LATE: 1, AGREED: 2}, "and no call by two orders"
    # How often is nobody's harm: an answer that a busy machine is late with is asked for again.
    assert asked.keys() == {LOST, GONE, LATE, AGREED}, "who is told of is not asked for"
