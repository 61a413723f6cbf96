"""Recordings: delivered by a worker, fetched whole, in ranges, or by a signed link."""

import time

import pytest

from tests.contract.conftest import House
from tests.support.api import Person, Reply

SOUND = b"OggS" + bytes(range(256)) * 4000
BYTES = {"Content-Type": "", "Accept": "*/*"}


@pytest.fixture
def caller(house: House) -> Person:
    """Somebody with an agent."""
    return house.person()


@pytest.fixture
def call_id(house: House, caller: Person) -> str:
    """A call with a recording."""
    call_id = house.call(caller)
    assert house.worker.upload(call_id, SOUND, duration_ms=2500).status == 204
    return call_id


def fetch(caller: Person, call_id: str, **headers: str) -> Reply:
    """Ask for the recording as a browser or curl does: without a word about JSON."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return caller.ask("GET", f"/v1/calls/{call_id}/recording", headers={**BYTES, **named})


def test_the_recording_is_its_bytes(caller: Person, call_id: str) -> None:
    reply = fetch(caller, call_id)
    assert (reply.status, reply.raw) == (200, SOUND)
    assert reply.headers["content-type"] == "audio/ogg"
    assert reply.headers["accept-ranges"] == "bytes"
    assert int(reply.headers["content-length"]) == len(SOUND)
    head = caller.ask("HEAD", f"/v1/calls/{call_id}/recording", headers=BYTES)
    assert (head.status, head.raw, head.headers["content-length"]) == (200, b"", str(len(SOUND)))


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [
        ("bytes=0-3", 0, 4),
        ("bytes=4-", 4, len(SOUND)),
        ("bytes=-5", len(SOUND) - 5, len(SOUND)),
        ("bytes=0-99999999", 0, len(SOUND)),
    ],
)
def test_a_range_is_a_part(caller: Person, call_id: str, asked: str, start: int, stop: int) -> None:
    reply = fetch(caller, call_id, Range=asked)
    assert (reply.status, reply.raw) == (206, SOUND[start:stop])
    assert reply.headers["content-range"] == f"bytes {start}-{stop - 1}/{len(SOUND)}"


@pytest.mark.parametrize("asked", ["bytes=99999999-", "bytes=9-3", "seconds=1-2"])
def test_a_range_beyond_the_end_is_a_416(caller: Person, call_id: str, asked: str) -> None:
    reply = fetch(caller, call_id, Range=asked)
    assert reply.status == 416
    assert reply.headers["content-range"] == f"bytes */{len(SOUND)}"


def test_what_a_client_has_is_not_sent_again(caller: Person, call_id: str) -> None:
    etag = fetch(caller, call_id).headers["etag"]
    assert fetch(caller, call_id, If_None_Match=etag).status == 304
    assert fetch(caller, call_id, Range="bytes=0-3", If_Range=etag).status == 206
    assert fetch(caller, call_id, Range="bytes=0-3", If_Range='"other"').status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "application/json", "Accept": "*/*"},
        {"Content-Type": "", "Accept": "application/json"},
    ],
)
def test_a_client_that_speaks_json_gets_a_link_for_an_hour(
    house: House, caller: Person, call_id: str, headers: dict[str, str]
) -> None:
    signed = caller.ask("GET", f"/v1/calls/{call_id}/recording", headers=headers).json
    assert (signed["duration_ms"], signed["size_bytes"], signed["expires_in"]) == (2500, len(SOUND), 3600)
    link = signed["recording_url"].removeprefix(house.api.url)
    assert house.api.ask("GET", link).raw == SOUND
    assert house.api.ask("GET", link, headers={"Range": "bytes=0-3"}).raw == b"OggS"


def test_an_explicit_accept_decides(caller: Person, call_id: str) -> None:
    headers = {"Content-Type": "application/json", "Accept": "audio/ogg"}
    assert caller.ask("GET", f"/v1/calls/{call_id}/recording", headers=headers).raw == SOUND


def test_a_link_that_we_did_not_sign_opens_nothing(house: House, caller: Person, call_id: str) -> None:
    link = (
        caller.ask("GET", f"/v1/calls/{call_id}/recording").json["recording_url"].removeprefix(house.api.url)
    )
    other = house.call(caller)
    house.worker.upload(other, b"OggS")
    past = int(time.time()) - 1
    for forged in (
        link[:-1] + ("0" if link[-1] != "0" else "1"),
        link.replace(call_id, other),
        link.replace("expires=", "expires=1"),
        f"/v1/recordings/{call_id}.ogg?expires={past}&signature=00",
        f"/v1/recordings/{call_id}.ogg?expires={past}&signature=%C3%A9",
    ):
        assert house.api.ask("GET", forged).status == 403, forged
    assert house.api.ask("GET", f"/v1/recordings/{call_id}.ogg").status == 422


def test_a_call_without_a_recording_is_a_404(house: House, caller: Person) -> None:
    call_id = house.call(caller)
    reply = caller.ask("GET", f"/v1/calls/{call_id}/recording")
    assert (reply.status, reply.detail) == (404, "This call has no recording")


def test_a_recording_delivered_again_replaces_it(house: House, caller: Person, call_id: str) -> None:
    assert house.worker.upload(call_id, SOUND + SOUND, duration_ms=5000).status == 204
    assert fetch(caller, call_id).raw == SOUND + SOUND
    assert house.worker.upload("call_0123456789abcdef", SOUND).status == 404
    folder = house.api.home / "recordings"
    assert sorted(path.suffix for path in folder.iterdir() if call_id in path.name) == [".ogg"]


def test_a_call_shows_where_its_recording_is(house: House, caller: Person, call_id: str) -> None:
    call = caller.ask("GET", f"/v1/calls/{call_id}").json
    assert call["recording_duration_ms"] == 2500
    assert house.api.ask("GET", call["recording_url"].removeprefix(house.api.url)).raw == SOUND
    listed = caller.ask("GET", "/v1/calls").json["calls"][0]
    assert listed["recording_url"] == f"{house.api.url}/v1/calls/{call_id}/recording"
