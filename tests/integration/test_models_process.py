"""The models process, with real models: asked, overloaded, killed."""

import asyncio
import os
import socket
import stat
import struct
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path

import numpy as np
import pytest

from kb.embeddings import E5Embedder
from pipelines.local.client import ModelsClient
from pipelines.local.embedder import ModelsEmbedder
from pipelines.local.wire import (
    BadRequest,
    DeadlinePassed,
    ModelBusy,
    ModelsGone,
    ModelUnavailable,
)
from tests.support.models import ROOT, ModelsProcess, client_memory, models_process, spoken
from tests.support.sounds import pcm, silence, white, word_errors

QUESTION = "What time do you open on Saturday?"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelsProcess]:
    with models_process(tmp_path_factory.mktemp("call2me")) as process:
        yield process


@pytest.fixture
async def client(running: ModelsProcess) -> AsyncIterator[ModelsClient]:
    client = await running.ready()
    yield client
    await client.aclose()


async def test_what_is_spoken_is_heard(client: ModelsClient) -> None:
    heard = await client.transcribe(pcm(await spoken(client, QUESTION)), language="en")
    assert word_errors(QUESTION, heard.text) == 0
    assert heard.language == "en"
    assert heard.confidence > 0.5


async def test_any_usual_rate_is_heard_and_the_language_found(client: ModelsClient) -> None:
    parts = [np.frombuffer(part, np.int16) async for _, part in client.synthesize(QUESTION)]
    heard = await client.transcribe(np.concatenate(parts), sample_rate=24_000)
    assert word_errors(QUESTION, heard.text) == 0
    assert heard.language == "en"


async def test_speech_comes_sentence_by_sentence_without_silence_before_it(client: ModelsClient) -> None:
    parts = [part async for part in client.synthesize("We are open. Shall I book? Goodbye.")]
    assert len(parts) == 3
    for rate, part in parts:
        sound = np.frombuffer(part, np.int16)
        assert rate == 24_000
        assert np.abs(sound[:1200]).max() > 100


async def test_vectors_say_what_is_alike(client: ModelsClient) -> None:
    question, alike, other = await client.embed(
        ["When can I come by on a Saturday?", "Opening hours at the weekend", "The price of a filling"]
    )
    assert np.linalg.norm(question) == pytest.approx(1, abs=1e-3)
    assert question @ alike > question @ other


async def test_the_embedder_keeps_order_and_takes_any_number(running: ModelsProcess) -> None:
    embedder = ModelsEmbedder(running.socket)
    texts = [f"number {place} {'and more ' * (place % 5)}" for place in range(21)]
    together = await embedder.embed(texts)
    alone = await embedder.embed(texts[13:14])
    assert together.shape == (21, 384)
    assert float(together[13] @ alone[0]) > 0.999
    assert (await embedder.embed([])).shape == (0, 384)
    await embedder.aclose()


async def test_another_space_is_loaded_when_it_is_first_asked_for(
    running: ModelsProcess, client: ModelsClient
) -> None:
    if not E5Embedder.is_installed():
        with pytest.raises(ModelUnavailable):
            await client.embed(["merhaba"], space=E5Embedder.space)
        return
    assert (await client.health())["models"]["embed_e5"]["state"] == "asleep"
    embedder = ModelsEmbedder(running.socket, space=E5Embedder.space)
    question, alike, other = await embedder.embed(
        ["Cumartesi açık mısınız?", "We are open on Saturdays.", "A filling costs 90 euros."]
    )
    assert embedder.space == "multilingual-e5-small-q4"
    assert question @ alike > question @ other
    assert (await client.health())["models"]["embed_e5"]["state"] == "ready"
    with pytest.raises(BadRequest, match="no such space"):
        await client.embed(["merhaba"], space="of another world")
    await embedder.aclose()


async def test_a_question_goes_before_a_text_that_is_indexed(running: ModelsProcess) -> None:
    embedder = ModelsEmbedder(running.socket)
    indexing = asyncio.create_task(embedder.embed(["a long passage about many things " * 20] * 64))
    await asyncio.sleep(0.05)
    started = time.monotonic()
    await embedder.embed(["When do you open?"])
    assert time.monotonic() - started < 4
    assert not indexing.done()
    await indexing
    await embedder.aclose()


async def test_the_socket_is_for_its_owner_alone(running: ModelsProcess, client: ModelsClient) -> None:
    assert await client.health()
    assert stat.S_IMODE(running.socket.stat().st_mode) == 0o600


async def test_two_clients_are_served_at_once(running: ModelsProcess, client: ModelsClient) -> None:
    other = ModelsClient(running.socket)
    sound = pcm(await spoken(client, QUESTION))
    answers = await asyncio.gather(
        *(asker.transcribe(sound, language="en") for asker in (client, other, client, other))
    )
    assert {answer.text for answer in answers} == {answers[0].text}
    await other.aclose()


@pytest.mark.parametrize("samples", [0, 1, 100, 799, 801])
async def test_next_to_no_sound_is_no_words(client: ModelsClient, samples: int) -> None:
    assert (await client.transcribe(np.zeros(samples, np.int16), language="en")).text == ""


async def test_what_cannot_be_asked_is_refused_and_the_next_request_served(client: ModelsClient) -> None:
    with pytest.raises(BadRequest, match="longer than 120 s"):
        await client.transcribe(pcm(silence(130)), language="en")
    with pytest.raises(BadRequest, match="int16"):
        await client.transcribe(b"abc")
    with pytest.raises(BadRequest, match="sample_rate"):
        await client.transcribe(b"", sample_rate=1)
    with pytest.raises(BadRequest, match="speed"):
        await anext(client.synthesize("hello", speed=9))
    with pytest.raises(BadRequest, match=r"5,000 characters"):
        await anext(client.synthesize("word " * 1500))
    with pytest.raises(BadRequest, match="More than 64"):
        await client.embed(["x"] * 65)
    assert (await client.transcribe(pcm(silence(1)), language="en")).text == ""


async def test_ten_minutes_of_sound_are_too_large_to_send(client: ModelsClient) -> None:
    with pytest.raises(BadRequest, match="too large"):
        await client.transcribe(np.zeros(10 * 60 * 16_000, np.int16))


async def test_two_minutes_end_by_their_deadline(client: ModelsClient) -> None:
    started = time.monotonic()
    with pytest.raises(DeadlinePassed):
        await client.transcribe(pcm(white(119)), language="en", timeout=1)
    assert time.monotonic() - started < 4
    # The lane is free again soon, not after two minutes of decoding.
    assert (await client.transcribe(pcm(silence(1)), language="en", timeout=20)).text == ""


async def test_a_caption_is_refused_while_somebody_waits_for_words(client: ModelsClient) -> None:
    sound = pcm(await spoken(client, QUESTION * 4))
    first = asyncio.create_task(client.transcribe(sound, language="en"))
    await asyncio.sleep(0.05)
    with pytest.raises(ModelBusy):
        await client.transcribe(sound, language="en", urgency="if_idle")
    await first


async def test_speech_nobody_listens_to_is_not_made(client: ModelsClient) -> None:
    done_before = (await client.health())["models"]["synthesize"]["done"]
    async with aclosing(client.synthesize("This is a sentence. " * 200, timeout=60)) as speech:
        await anext(speech)
    await until_idle(client, "synthesize", within=5.0)
    assert (await client.health())["models"]["synthesize"]["done"] == done_before + 1


async def test_a_client_that_goes_away_cancels_what_it_asked_for(
    running: ModelsProcess, client: ModelsClient
) -> None:
    leaver = ModelsClient(running.socket)
    asking = [asyncio.create_task(leaver.transcribe(pcm(white(60)), language="en")) for _ in range(6)]
    await asyncio.sleep(0.2)
    await leaver.aclose()
    results = await asyncio.gather(*asking, return_exceptions=True)
    assert all(isinstance(result, ModelsGone) for result in results)
    await until_idle(client, "transcribe", within=20.0)


async def until_idle(client: ModelsClient, lane: str, within: float) -> None:
    deadline = time.monotonic() + within
    while True:
        health = (await client.health())["models"][lane]
        if not health["running"] and not health["waiting"]:
            return
        assert time.monotonic() < deadline, health
        await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        os.urandom(4096),
        struct.pack(">II", 2**32 - 1, 2**32 - 1),
        struct.pack(">II", 9, 0) + b'{"id": 1}',
        struct.pack(">II", 29, 0) + b'{"id": 1, "op": "transcribe"}',
        struct.pack(">II", 40, 0) + b'{"id":1,"op":"synthesize","text":["no"]}',
    ],
)
async def test_garbage_hurts_only_who_sends_it(
    running: ModelsProcess, client: ModelsClient, garbage: bytes
) -> None:
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.settimeout(2)
        stranger.connect(str(running.socket))
        stranger.sendall(garbage)
        stranger.shutdown(socket.SHUT_WR)
        while stranger.recv(65536):
            pass
    assert (await client.health())["ready"]
    assert running.process.poll() is None


async def test_a_second_process_does_not_take_the_socket(
    running: ModelsProcess, client: ModelsClient
) -> None:
    command = [sys.executable, "-m", "tests.support.models", str(running.socket), str(running.models)]
    second = await asyncio.to_thread(
        subprocess.run, command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert second.returncode == 1
    assert "Another models process already listens" in second.stderr
    assert (await client.health())["ready"]


async def test_killed_in_mid_request_is_asked_again_when_it_is_back(
    running: ModelsProcess, client: ModelsClient
) -> None:
    sound = pcm(await spoken(client, QUESTION))
    asking = [asyncio.create_task(client.transcribe(sound, language="en", timeout=20)) for _ in range(3)]
    await asyncio.sleep(0.1)
    running.kill()
    started = time.monotonic()
    running.restart()
    answers = await asyncio.gather(*asking)
    print(f"\nanswered {time.monotonic() - started:.2f} s after a kill -9")  # noqa: T201
    assert [word_errors(QUESTION, answer.text) for answer in answers] == [0, 0, 0]


async def test_it_takes_no_more_memory_than_it_may(client: ModelsClient) -> None:
    for _ in range(5):
        await client.transcribe(pcm(await spoken(client, QUESTION)), language="en")
    memory = await client_memory(client)
    print(f"\nmodels process: {memory / 1e6:.0f} MB (PSS)")  # noqa: T201
    assert memory < 520e6


async def test_a_path_too_long_for_a_socket_is_said_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / ("long" * 30) / "m.sock"
    command = [sys.executable, "-m", "tests.support.models", str(path), str(tmp_path)]
    started = await asyncio.to_thread(
        subprocess.run, command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert started.returncode != 0
    assert "choose a shorter CALL2ME_HOME" in started.stderr


async def test_it_ends_when_asked_and_leaves_no_socket(tmp_path: Path) -> None:
    with models_process(tmp_path) as process:
        client = await process.ready()
        asking = asyncio.create_task(client.transcribe(pcm(white(30)), language="en"))
        await asyncio.sleep(0.2)
        started = time.monotonic()
        assert process.stop() == 0
        assert time.monotonic() - started < 4
        assert not process.socket.exists()
        asking.cancel()
        await client.aclose()
