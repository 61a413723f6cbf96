"""The rest of a call: dialling, deleting, exporting, reporting."""

import json
import time
from typing import Any

import call2me
import pytest
from call2me import Call2Me

from api.calls.phoning import NoPhoneLine
from api.http.errors import sentence
from tests.contract.conftest import ENGLISH_AGENT, House
from tests.contract.test_calls import settled, talked
from tests.support.api import Person


@pytest.fixture
def caller(house: House) -> Person:
    """Somebody with an agent."""
    return house.person()


def over(house: House, caller: Person) -> str:
    """A call that is over and settled."""
    call_id = house.call(caller)
    house.worker.tell(talked(house, call_id).ended(10.0))
    deadline = time.monotonic() + 20
    while settled(caller, call_id)["call_analysis"] is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return call_id


def sdk(house: House, person: Person) -> Call2Me:
    """The official SDK with a key of this person's."""
    return Call2Me(api_key=person.made("/v1/api-keys", {"name": "SDK"})["api_key"], base_url=house.api.url)


def test_without_a_phone_line_a_call_is_refused_and_nothing_is_written(house: House, caller: Person) -> None:
    agent_id = caller.ask("GET", "/v1/agents").json[0]["agent_id"]
    for path in ("/v1/calls", "/v1/calls/outbound"):
        reply = caller.ask("POST", path, {"agent_id": agent_id, "to_number": "+14155550123"})
        assert (reply.status, reply.detail) == (503, sentence(NoPhoneLine))
        assert reply.headers["retry-after"] == "30"
        assert "`make phones`" in reply.detail
    with sdk(house, caller) as client, pytest.raises(call2me.Call2MeError, match="no phone line"):
        client.calls.create(agent_id, "+14155550123")
    assert caller.ask("GET", "/v1/calls").json["total"] == 0
    other = house.person()
    body = {"agent_id": agent_id, "to_number": "+14155550123"}
    assert other.ask("POST", "/v1/calls", body).status == 404
    for wrong in ("14155550123", "+0123", "+", "+14155550123456789", ""):
        reply = caller.ask("POST", "/v1/calls", {"agent_id": agent_id, "to_number": wrong})
        assert reply.status == 422


def test_a_deleted_call_is_gone_with_its_recording(house: House, caller: Person) -> None:
    call_id = over(house, caller)
    assert house.worker.upload(call_id, b"OggS not really").status == 204
    stored = house.api.home / "recordings" / f"{call_id}.ogg"
    assert stored.exists()
    assert house.person().ask("DELETE", f"/v1/calls/{call_id}").status == 404
    assert caller.ask("DELETE", f"/v1/calls/{call_id}").json["call_id"] == call_id
    assert caller.ask("GET", f"/v1/calls/{call_id}").status == 404
    assert caller.ask("GET", "/v1/calls").json["total"] == 0
    assert not stored.exists()


def test_a_call_that_goes_on_cannot_be_deleted(house: House, caller: Person) -> None:
    call_id = house.call(caller)
    talked(house, call_id)
    assert caller.ask("DELETE", f"/v1/calls/{call_id}").status == 409
    assert caller.ask("GET", f"/v1/calls/{call_id}").status == 200


def test_a_transcript_comes_as_text_and_as_subtitles(house: House, caller: Person) -> None:
    call_id = over(house, caller)
    path = f"/v1/calls/{call_id}/transcript"
    srt = caller.ask("GET", f"{path}?format=srt")
    assert srt.headers["content-type"].startswith("application/x-subrip")
    assert srt.raw.decode().startswith("1\n00:00:00,500 --> 00:00:01,000\nAgent: Hello.\n\n2\n")
    vtt = caller.ask("GET", path, headers={"Accept": "text/vtt"})
    assert vtt.raw.decode().startswith("WEBVTT\n\n00:00:00.500 --> 00:00:01.000\n<v Agent>Hello.\n")
    text = caller.ask("GET", f"{path}?format=text", headers={"Accept": "application/json"})
    assert text.raw == b"Agent: Hello.\nUser: When do you open?\nAgent: At nine"
    assert caller.ask("GET", f"{path}?format=pdf").status == 422


def test_a_vcon_needs_the_agents_leave(house: House, caller: Person) -> None:
    call_id = over(house, caller)
    path = f"/v1/calls/{call_id}/vcon"
    assert caller.ask("GET", path).status == 404
    agent_id = caller.ask("GET", "/v1/agents").json[0]["agent_id"]
    assert caller.ask("PATCH", f"/v1/agents/{agent_id}", {"enable_vcon_export": True}).status == 200
    vcon: dict[str, Any] = caller.ask("GET", path).json
    assert vcon["vcon"] == "0.0.1"
    assert vcon["uuid"] == caller.ask("GET", path).json["uuid"]
    assert [party["role"] for party in vcon["parties"]] == ["caller", "agent"]
    assert [(one["parties"], one["body"]) for one in vcon["dialog"]] == [
        ([1], "Hello."),
        ([0], "When do you open?"),
        ([1], "At nine"),
    ]
    assert vcon["analysis"][0]["body"]["analysed_by"] == "rules"
    assert json.dumps(vcon)


def test_a_report_says_how_calls_went(house: House, caller: Person) -> None:
    over(house, caller)
    report = caller.ask("GET", "/v1/calls/quality/report?days=7").json
    assert (report["total_calls"], report["by_status"]) == (1, {"completed": 1})
    assert report["avg_duration_seconds"] == 10.0
    assert report["answer_times"] == {"p50_ms": 512.0, "p95_ms": 512.0, "turns": 1}
    assert report["interrupted_share"] == 0.5
    assert report["warnings"] == {"llm_unavailable": 1}
    agent_id = house.person().ask("GET", "/v1/agents").json[0]["agent_id"]
    assert caller.ask("GET", f"/v1/calls/quality/report?agent_id={agent_id}").status == 404
    assert caller.ask("GET", "/v1/calls/quality/report?days=91").status == 422


def test_the_sdk_opens_and_reads_a_voice_session(house: House, caller: Person) -> None:
    agent_id = caller.made("/v1/agents", ENGLISH_AGENT)["agent_id"]
    with sdk(house, caller) as client:
        made = client.voice_sessions.create(
            agent_id, external_user_id="u-17", metadata={"a": 1}, max_duration_sec=120
        )
        assert made["session_limit_sec"] == 120
        assert house.worker.brief(made["call_id"], f"job-{made['call_id']}").status == 200
        talked(house, made["call_id"])
        found = client.voice_sessions.get(made["room_name"])
        assert found["status"] == "in_progress"
        assert [entry["text"] for entry in found["transcript"]] == ["Hello.", "When do you open?", "At nine"]
        call = client.calls.get(made["call_id"])
        assert call["metadata"] == {"a": 1, "external_user_id": "u-17"}
    assert house.person().ask("GET", f"/v1/voice/sessions/{made['room_name']}").status == 404
