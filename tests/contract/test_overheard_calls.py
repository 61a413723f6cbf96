"""What is kept of two who were put through, as worker and api tell each other; the exchange is the test's."""

import asyncio
from pathlib import Path

from tests.contract.conftest import House
from tests.support.api import Person
from tests.support.recordings import decoded
from tests.support.rehearsed_exchange import bound, goes, line, owner, rings, until
from tests.support.rehearsed_worker import Script, moment
from tests.support.rtp import tone
from worker.recording import PHONE_RATE, Recording

__all__ = ["line", "owner"]


def recorded(path: Path, hertz: int) -> bytes:
    """A second of it, on both sides."""

    async def record() -> None:
        recording = Recording(path, PHONE_RATE)
        for tell in (recording.caller, recording.agent):
            tell(tone(1.0, hertz, PHONE_RATE).tobytes(), PHONE_RATE, recording._began_at)
        await asyncio.sleep(1.1)
        await recording.close()

    asyncio.run(record())
    return path.read_bytes()


def test_two_who_were_put_through_are_one_call_with_what_was_before(
    house: House, owner: Person, tmp_path: Path
) -> None:
    agent_id, number, trunk_id = bound(owner)
    kept = {"enable_recording": True, "record_after_transfer": True, "transcribe_after_transfer": True}
    kept["enable_vcon_export"] = True
    assert owner.ask("PATCH", f"/v1/agents/{agent_id}", kept).json["record_after_transfer"] is True
    call_id = rings(house, trunk_id, number, "kept@carrier").json["call_id"]
    assert house.worker.overhears(call_id, "early").status == 404, "no agent has had it yet"
    house.worker.brief(call_id)
    script = Script(call_id)
    house.worker.tell(script.started())
    house.worker.status["call_ids"] = [call_id]
    # The process that hears the two may be told before the other one says that it has left.
    first = house.worker.overhears(call_id, "overhear-1").json
    assert (first["attempt"], first["agent"]["record_after_transfer"]) == (2, True)
    assert house.worker.overhears(call_id, "overhear-1").json["attempt"] == 2, "asked twice is once"
    tried = script.tried(5, "bridged", to="sip:desk@pbx.example.com", mode="cold")
    left = script.ended(5, "transferred", "transferred")
    told = house.worker.tell(tried, {**left, "is_bridged": True, "has_recording": True})
    assert told.json["refused"] == {}
    assert house.worker.upload(call_id, recorded(tmp_path / "1.ogg", 500), attempt=1).status == 204
    second_script = Script(call_id, attempt=2)
    spoken = [("user", "It has not come.", 10, 12), ("person", "Which number?", 12, 14)]
    house.worker.tell(*(second_script.said(*one) for one in spoken))
    # It dies; nobody takes the call up but the exchange, which has it, and names another.
    assert house.worker.tell(second_script.lost(20)).json["refused"] == {}
    assert house.worker.upload(call_id, recorded(tmp_path / "2.ogg", 900), attempt=2).status == 204
    second = house.worker.overhears(call_id, "overhear-2").json
    assert second["attempt"] == 3
    assert owner.ask("GET", f"/v1/calls/{call_id}").json["call_status"] == "in_progress"
    goes(house, call_id, "ended", 200, "OK", at=moment(65))
    assert house.worker.overhears(call_id, "overhear-3").status == 409
    third = Script(call_id, attempt=3)
    words = third.said("person", "Goodbye then.", 62, 63)
    last = {**third.ended(65, "transferred", "transferred"), "is_bridged": True, "is_overheard": True}
    assert house.worker.tell(words, {**last, "usage": {"stt_seconds": 9.0}}).status == 200
    assert house.worker.upload(call_id, recorded(tmp_path / "3.ogg", 1300), attempt=3).status == 204
    call = until(lambda: (c := owner.ask("GET", f"/v1/calls/{call_id}").json)["call_analysis"] and c, 20)
    assert (call["call_status"], call["duration_ms"]) == ("transferred", 65_000)
    said = [(one["role"], one["text"]) for one in call["transcript_object"]]
    assert said == [*((role, text) for role, text, *_ in spoken), ("person", "Goodbye then.")]
    until(lambda: "Person: Goodbye then." in owner.ask("GET", f"/v1/calls/{call_id}").json["transcript"])
    vcon = owner.ask("GET", f"/v1/calls/{call_id}/vcon").json
    assert vcon["parties"][2] == {"role": "person", "name": "sip:desk@pbx.example.com"}, "no number"
    assert [one["parties"] for one in vcon["dialog"] if one["type"] == "text"] == [[0], [2], [2]]
    sound = decoded(owner.ask("GET", f"/v1/calls/{call_id}/recording", headers={"Accept": "audio/ogg"}).raw)
    assert sound.shape[1] > 3 * 48_000 * 0.9
    (line_,) = [
        one
        for one in owner.ask("GET", "/v1/wallet/transactions").json["transactions"]
        if one["call_id"] == call_id
    ]
    assert "recorded only in" in line_["description"]
    assert "no realtime model listened" in line_["explanation"]["without_the_agent"], "a recogniser did"
    orders = [one for one in list(house.worker.orders) if one.get("call_id") == call_id]
    assert not [one for one in orders if one.get("kind") == "take_up"]
    house.worker.status["call_ids"] = []
