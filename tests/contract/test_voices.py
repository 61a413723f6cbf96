"""Which voices there are, how they sound, and what is here of each provider."""

import asyncio
import io
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import av
import numpy as np
import pytest

from tests.support.api import AGENT, Api, Person, running_api
from tests.support.ports import free_port
from tests.support.provider_server import KEY, ProviderServer, provider_server
from tests.support.rehearsed_worker import RehearsedWorker


@dataclass
class Studio:
    api: Api
    vendor: ProviderServer

    def person(self) -> Person:
        return self.api.person()


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """The api with keys for vendors that are on this machine, and a worker that has the same."""
    port = free_port()
    started, stop, running = threading.Event(), asyncio.Event(), []
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        async with provider_server(port) as server:
            running.append(server)
            started.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    started.wait(10)
    vendor = running[0]
    keys = {
        "OPENAI_API_KEY": KEY,
        "OPENAI_BASE_URL": f"{vendor.url}/v1",
        "DEEPGRAM_API_KEY": KEY,
        "DEEPGRAM_BASE_URL": vendor.url,
        "ELEVEN_API_KEY": "",
    }
    offers = [
        {"kind": "tts", "provider": "openai", "is_available": True},
        {"kind": "tts", "provider": "elevenlabs", "is_available": False, "hint": "Set ELEVEN_API_KEY."},
        {"kind": "stt", "provider": "deepgram", "is_available": True},
    ]
    try:
        home = tmp_path_factory.mktemp("studio")
        with running_api(home, **keys) as api, RehearsedWorker(api, available=offers):
            yield Studio(api, vendor)
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()


def test_the_voices_an_agent_may_ask_for_are_an_array_with_those_that_are_here_first(studio: Studio) -> None:
    listed = studio.person().ask("GET", "/v1/voices").json
    assert {"voice_id", "name", "provider", "language", "gender", "is_available"} <= set(listed[0])
    available = [voice["is_available"] for voice in listed]
    assert available == sorted(available, reverse=True)
    nova = next(voice for voice in listed if voice["voice_id"] == "openai-nova")
    assert (nova["is_available"], nova["language"], nova["gender"]) == (True, "multilingual", "female")
    of_others = [voice for voice in listed if voice["provider"] == "elevenlabs"]
    assert {voice["hint"] for voice in of_others} == {"Set ELEVEN_API_KEY."}
    assert len({voice["voice_id"] for voice in listed}) == len(listed)


@pytest.mark.parametrize(
    ("query", "holds"),
    [
        ("language=de-DE", lambda voice: voice["language"] in ("de", "multilingual")),
        ("provider=deepgram&language=es", lambda voice: voice["provider_voice_id"].endswith("-es")),
        ("gender=male&provider=openai", lambda voice: voice["gender"] == "male"),
    ],
)
def test_voices_are_filtered(studio: Studio, query: str, holds: object) -> None:
    listed = studio.person().ask("GET", f"/v1/voices?{query}").json
    assert listed
    assert all(holds(voice) for voice in listed)  # type: ignore[operator]


def test_a_filter_that_is_none_is_refused(studio: Studio) -> None:
    assert studio.person().ask("GET", "/v1/voices?gender=robot").status == 422


def test_any_voice_of_an_account_is_one_and_a_made_up_one_is_not(studio: Studio) -> None:
    person = studio.person()
    own = person.ask("GET", "/v1/voices/elevenlabs-CFzl8WvPQ92EKMBs2hpS").json
    assert (own["provider"], own["provider_voice_id"]) == ("elevenlabs", "CFzl8WvPQ92EKMBs2hpS")
    assert person.ask("GET", "/v1/voices/openai-nobody").status == 404
    assert person.ask("POST", "/v1/voices/openai-nobody/preview", {}).detail == "Voice not found"


@pytest.mark.parametrize("voice_id", ["openai-coral", "deepgram-aura-2-thalia-en"])
def test_a_preview_is_an_mp3_of_the_words(studio: Studio, voice_id: str) -> None:
    reply = studio.person().ask("POST", f"/v1/voices/{voice_id}/preview", {"text": "Good morning to you."})
    assert (reply.status, reply.headers["content-type"]) == (200, "audio/mpeg")
    assert 0.9 < seconds(reply.raw) < 1.3, "the stand-in says twenty letters in a second"
    assert studio.vendor.refused == []


def test_a_preview_without_a_text_speaks_the_voices_language(studio: Studio) -> None:
    studio.person().ask("POST", "/v1/voices/deepgram-aura-2-viktoria-de/preview")
    assert studio.vendor.speaks[-1]["text"].startswith("Guten Tag")


def test_a_voice_that_is_not_here_says_what_to_do(studio: Studio) -> None:
    reply = studio.person().ask("POST", "/v1/voices/elevenlabs-EXAVITQu4vr4xnSDxMaL/preview", {})
    assert (reply.status, reply.detail) == (503, "Set ELEVEN_API_KEY.")


def test_a_provider_that_fails_is_a_bad_gateway_without_its_words(studio: Studio) -> None:
    studio.vendor.faults["speech"] = "429"
    reply = studio.person().ask("POST", "/v1/voices/openai-coral/preview", {})
    del studio.vendor.faults["speech"]
    studio.vendor.refused.clear()
    assert (reply.status, reply.detail) == (502, "The provider answered 429.")


def test_a_text_is_spoken_and_a_file_transcribed(studio: Studio) -> None:
    person = studio.person()
    asked = {"text": "Good morning to you.", "voice_id": "openai-nova", "language": "en-US", "speed": 1.5}
    spoken = person.ask("POST", "/v1/audio/tts", asked)
    assert spoken.status == 200
    assert studio.vendor.speeches[-1]["speed"] == 1.5
    form = {"language": "en", "provider": "deepgram"}
    heard = upload(person, spoken.raw, form)
    assert heard.json == {"transcript": studio.vendor.transcript, "confidence": 0.97, "language": "en"}
    assert studio.vendor.refused == []


def test_what_is_no_sound_is_refused_by_name(studio: Studio) -> None:
    person = studio.person()
    for body in (b"this is no sound", b""):
        reply = upload(person, body, {})
        assert (reply.status, reply.detail[0]["loc"]) == (422, ["body", "audio"])
    assert person.ask("POST", "/v1/audio/stt", {"audio": "x"}).status == 422
    for junk in (
        b"",
        b"--b\r\n\r\n",
        b'--b\r\nContent-Disposition: form-data; name="\xf1\x81"\r\nX\r\n\r\n{}\r\n--b',
    ):
        kind = {"Content-Type": "multipart/form-data; boundary=b"}
        assert person.ask("POST", "/v1/audio/stt", raw=junk, headers=kind).status == 422, junk


def test_providers_say_what_is_here_what_to_do_and_what_may_be_set(studio: Studio) -> None:
    listed = studio.person().ask("GET", "/v1/providers").json
    by_name = {(one["kind"], one["provider"]): one for one in listed}
    assert by_name["tts", "elevenlabs"]["hint"] == "Set ELEVEN_API_KEY."
    assert "instructions" in by_name["tts", "openai"]["options"]["properties"]
    assert by_name["stt", "deepgram"]["is_available"]


def test_a_model_answers_once_and_may_ask_for_a_function(studio: Studio) -> None:
    person = studio.person()
    asked = {"messages": [{"role": "user", "content": "When are you open?"}], "model": "gpt-4o"}
    reply = person.ask("POST", "/v1/llm/chat", asked).json
    assert (reply["content"], reply["provider"]) == (studio.vendor.answer, "openai")
    assert reply["usage"]["total_tokens"] == 18
    assert studio.vendor.chats[-1]["model"] == "gpt-4o"
    book = {"name": "book", "description": "Book a day.", "parameters": {"type": "object"}}
    studio.vendor.call = ("book", {"day": "Monday"})
    reply = person.ask("POST", "/v1/llm/chat", {**asked, "functions": [book]}).json
    studio.vendor.call = None
    assert reply["function_call"] == {"name": "book", "arguments": '{"day": "Monday"}'}
    assert studio.vendor.refused == []


def test_an_answer_with_an_agent_is_only_for_its_owner(studio: Studio) -> None:
    owner, stranger = studio.person(), studio.person()
    agent_id = owner.made("/v1/agents", AGENT)["agent_id"]
    asked = {"messages": [{"role": "user", "content": "Hello?"}], "agent_id": agent_id}
    assert owner.ask("POST", "/v1/llm/chat", asked).status == 200
    assert stranger.ask("POST", "/v1/llm/chat", asked).detail == "Agent not found"


@pytest.mark.parametrize("path", ["/v1/voices", "/v1/providers", "/v1/voices/openai-nova"])
def test_strangers_are_told_nothing(studio: Studio, path: str) -> None:
    assert studio.api.ask("GET", path).status == 401


def upload(person: Person, sound: bytes, fields: dict[str, str]) -> object:
    boundary = "boundary"
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    head = 'Content-Disposition: form-data; name="audio"; filename="a.mp3"\r\nContent-Type: audio/mpeg'
    parts.append(f"--{boundary}\r\n{head}\r\n\r\n".encode() + sound + b"\r\n")
    body = b"".join(parts) + f"--{boundary}--\r\n".encode()
    kind = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    return person.ask("POST", "/v1/audio/stt", raw=body, headers=kind)


def seconds(mp3: bytes) -> float:
    with av.open(io.BytesIO(mp3)) as container:
        frames = [frame.to_ndarray() for frame in container.decode(audio=0)]
    sound = np.concatenate(frames, axis=1)
    loud = np.flatnonzero(np.abs(sound).max(axis=0) > 0.01)
    return float(loud[-1] - loud[0]) / 24_000
