"""A call watched while it goes on, its recording as MP3, and what livekit-server tells of its room."""

import asyncio
import base64
import hashlib
import io
import json
import threading
import time
import urllib.request
from typing import Any

import av
import httpx
import jwt
import numpy as np
import pytest
from livekit import api as livekit

from tests.contract.conftest import House
from tests.support.api import Reply
from tests.support.rehearsed_worker import Script


class Watching(threading.Thread):
    """Somebody who reads a call's events to their end."""

    def __init__(self, url: str, token: str, after: int | None = None) -> None:
        super().__init__(daemon=True)
        headers = {"Authorization": f"Bearer {token}"}
        if after is not None:
            headers["Last-Event-ID"] = str(after)
        self._request = urllib.request.Request(url, headers=headers)  # noqa: S310 - our own api
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.arrived: list[float] = []
        self.start()

    def run(self) -> None:
        with urllib.request.urlopen(self._request, timeout=60) as reply:  # noqa: S310
            name = ""
            for line in reply:
                text = line.decode().rstrip("\n")
                if text.startswith("event: "):
                    name = text[7:]
                elif text.startswith("data: "):
                    self.arrived.append(time.monotonic())
                    self.events.append((name, json.loads(text[6:])))

    def names(self) -> list[str]:
        return [name for name, _ in self.events]


def until(what: Any, wanted: Any, seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while (found := what()) != wanted:
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


def test_a_call_is_watched_while_it_goes_on(house: House) -> None:
    person, stranger = house.person(), house.person()
    call_id = house.call(person)
    script = Script(call_id)
    assert house.worker.tell(script.started(), script.said("agent", "Hello.", 1, 2)).status == 200
    path = f"/v1/calls/{call_id}/events"
    assert stranger.ask("GET", path).status == 404
    assert house.api.ask("GET", path).status == 401
    watching = Watching(house.api.url + path, person.token)
    until(watching.names, ["status", "call_started", "utterance"])
    told_at = time.monotonic()
    assert house.worker.tell(script.said("user", "Are you open?", 3, 4)).status == 200
    until(lambda: len(watching.events), 4)
    assert watching.arrived[-1] - told_at < 2
    name, said = watching.events[-1]
    assert (name, said["utterance"]["text"], said["sequence"]) == ("utterance", "Are you open?", 2)
    assert "worker_id" not in watching.events[1][1]
    late = Watching(house.api.url + path, person.token, after=1)
    assert house.worker.tell(script.ended(5)).status == 200
    for watcher in (watching, late):
        watcher.join(15)
        assert not watcher.is_alive()
        assert watcher.events[-1] == (
            "end",
            {
                "call_status": "completed",
                "disconnection_reason": watcher.events[-1][1]["disconnection_reason"],
            },
        )
    assert watching.names() == [
        "status",
        "call_started",
        "utterance",
        "utterance",
        "status",
        "call_ended",
        "end",
    ]
    assert [event["sequence"] for name, event in late.events if "sequence" in event] == [2, 3]
    so_far = person.ask("GET", f"{path}?follow=false").raw.decode()
    assert "event: call_ended" in so_far
    over = Watching(house.api.url + path, person.token)
    over.join(10)
    assert over.names()[-1] == "end"


def _ogg(seconds: float, rate: int = 48_000) -> bytes:
    written = io.BytesIO()
    with av.open(written, "w", format="ogg") as container:
        stream = container.add_stream("libopus", rate=rate, layout="stereo")
        times = np.arange(int(seconds * rate)) / rate
        tone = (np.sin(2 * np.pi * 440 * times) * 12_000).astype(np.int16)
        for start in range(0, len(tone), 960):
            piece = tone[start : start + 960]
            frame = av.AudioFrame.from_ndarray(
                np.repeat(piece, 2).reshape(1, -1), format="s16", layout="stereo"
            )
            frame.sample_rate, frame.pts = rate, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return written.getvalue()


def test_a_recording_is_an_mp3_when_somebody_asks(house: House) -> None:
    person = house.person()
    call_id = house.call(person)
    path = f"/v1/calls/{call_id}/recording.mp3"
    assert person.ask("GET", path).status == 404
    assert house.worker.upload(call_id, _ogg(3), duration_ms=3000).status == 204
    reply = person.ask("GET", path)
    assert (reply.status, reply.headers["content-type"]) == (200, "audio/mpeg")
    with av.open(io.BytesIO(reply.raw)) as sound:
        assert sound.streams.audio[0].codec_context.name.startswith("mp3")
        pcm = np.concatenate([frame.to_ndarray() for frame in sound.decode(audio=0)], axis=1)
        rate = sound.streams.audio[0].rate
    assert pcm.shape[1] / rate == pytest.approx(3, abs=0.2)
    spectrum = np.abs(np.fft.rfft(pcm[0][rate // 2 : rate // 2 + rate]))
    assert abs(int(spectrum.argmax()) - 440) <= 2
    part = person.ask("GET", path, headers={"Range": "bytes=0-99"})
    assert (part.status, part.raw) == (206, reply.raw[:100])
    with httpx.Client(base_url=house.api.url, headers={"Authorization": f"Bearer {person.token}"}) as kept:
        connections = {
            id(kept.get(path).extensions["network_stream"].get_extra_info("socket")) for _ in range(3)
        }
        assert len(connections) == 1, "the connection is good for the next request"
    assert house.person().ask("GET", path).status == 404
    broken = house.call(person)
    assert house.worker.upload(broken, b"OggS" + b"x" * 500, duration_ms=1).status == 204
    assert person.ask("GET", f"/v1/calls/{broken}/recording.mp3").status == 503


def _signed(house: House, raw: bytes, **claims: Any) -> str:
    secrets = house.api.secrets
    told = {
        "iss": secrets["livekit_api_key"],
        "exp": int(time.time()) + 60,
        "sha256": base64.b64encode(hashlib.sha256(raw).digest()).decode(),
        **claims,
    }
    return jwt.encode(told, secrets["livekit_api_secret"], algorithm="HS256")


def _send(house: House, raw: bytes, token: str) -> Reply:
    headers = {"Content-Type": "application/webhook+json", "Authorization": token}
    return house.api.ask("POST", "/v1/livekit/webhook", raw=raw, headers=headers)


def test_a_forged_event_of_livekit_ends_nothing(house: House) -> None:
    person = house.person()
    call_id = house.call(person)
    assert house.worker.tell(Script(call_id).started()).status == 200
    room = person.ask("GET", f"/v1/calls/{call_id}").json["room_name"]
    raw = json.dumps({"event": "room_finished", "id": "EV_forged", "room": {"name": room}}).encode()
    forged = [
        "",
        "Bearer x",
        jwt.encode({"iss": house.api.secrets["livekit_api_key"], "exp": time.time() + 60}, "k" * 32),
        _signed(house, raw + b" "),
        _signed(house, raw, iss="APIother"),
        _signed(house, raw, exp=int(time.time()) - 60),
        person.token,
    ]
    for token in forged:
        assert _send(house, raw, token).status == 401
    assert _send(house, b"[]", _signed(house, b"[]")).status == 401
    assert person.ask("GET", f"/v1/calls/{call_id}").json["call_status"] == "in_progress"
    for _ in range(2):
        assert _send(house, raw, _signed(house, raw)).json == {"received": True}
    # The call's own last word has its time before the room's end counts.
    assert person.ask("GET", f"/v1/calls/{call_id}").json["call_status"] == "in_progress"
    until(lambda: person.ask("GET", f"/v1/calls/{call_id}").json["call_status"], "ended")
    ended = person.ask("GET", f"/v1/calls/{call_id}").json
    assert ended["disconnection_reason"] == "the room is gone"


def test_livekit_itself_tells_that_a_room_is_gone(house: House) -> None:
    person = house.person()
    call_id = house.call(person)
    script = Script(call_id)
    assert house.worker.tell(script.started()).status == 200
    room = person.ask("GET", f"/v1/calls/{call_id}").json["room_name"]
    secrets = house.api.secrets
    port = house.api.environment["CALL2ME_LIVEKIT_PORT"]

    async def come_and_go() -> None:
        async with livekit.LiveKitAPI(
            f"http://127.0.0.1:{port}", secrets["livekit_api_key"], secrets["livekit_api_secret"]
        ) as server:
            await server.room.create_room(livekit.CreateRoomRequest(name=room))
            await server.room.delete_room(livekit.DeleteRoomRequest(room=room))

    asyncio.run(come_and_go())
    until(lambda: person.ask("GET", f"/v1/calls/{call_id}").json["call_status"], "ended")
    # The worker's own last word still counts.
    assert house.worker.tell(script.ended(5)).status == 200
    assert person.ask("GET", f"/v1/calls/{call_id}").json["call_status"] == "completed"
