"""Recordings, exports and knowledge in a bucket: a real S3 server, asked as a folder is."""

import io
import json
import time
import zipfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from api.buckets import Bucket, bucket_of
from api.outside.bucket import BucketStorage
from api.outside.storage import StorageUnavailable, TooLarge
from pipelines.environment import Environment, SettingsError
from tests.support.api import Api, Person
from tests.support.bucket_server import BucketServer, bucket_server
from tests.support.house import running_house
from tests.support.knowledge import asked, read
from tests.support.rehearsed_worker import Script

BYTES = {"Content-Type": "", "Accept": "*/*"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BucketServer]:
    with bucket_server(tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest.fixture
def bucket(server: BucketServer) -> Bucket:
    found = bucket_of(Environment(server.settings))
    assert found is not None
    return found


@pytest.fixture
def storage(bucket: Bucket, tmp_path: Path) -> BucketStorage:
    return BucketStorage(replace(bucket, prefix=tmp_path.name), "blobs", tmp_path)


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def broken() -> AsyncIterator[bytes]:
    for _ in range(20):
        yield b"x" * 1_000_000
    raise ConnectionResetError


def left_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def all_of(storage: BucketStorage, name: str, start: int = 0, length: int | None = None) -> bytes:
    return b"".join([chunk async for chunk in storage.read(name, start, length)])


async def test_what_was_put_is_read_whole_and_in_ranges(storage: BucketStorage) -> None:
    assert await storage.put("a.ogg", chunks(b"one ", b"two"), 100) == 7
    assert await storage.size("a.ogg") == 7
    wanted = {
        (0, None): b"one two",
        (4, None): b"two",
        (1, 2): b"ne",
        (5, 99): b"wo",
        (7, None): b"",
        (2, 0): b"",
    }
    for (start, length), found in wanted.items():
        assert await all_of(storage, "a.ogg", start, length) == found
    await storage.put("empty.ogg", chunks(), 100)
    assert (await storage.size("empty.ogg"), await all_of(storage, "empty.ogg")) == (0, b"")
    await storage.delete("a.ogg")
    await storage.delete("a.ogg")
    assert await storage.size("a.ogg") is None
    for start in (0, 3):
        with pytest.raises(FileNotFoundError):
            await all_of(storage, "a.ogg", start)


async def test_a_put_that_fails_leaves_nothing_but_what_was_there(
    storage: BucketStorage, server: BucketServer, tmp_path: Path
) -> None:
    await storage.put("a.ogg", chunks(b"before"), 100)
    for source, most in ((broken(), 10**9), (chunks(b"x" * 60, b"x" * 60), 100)):
        with pytest.raises((ConnectionResetError, TooLarge)):
            await storage.put("a.ogg", source, most)
    assert await all_of(storage, "a.ogg") == b"before"
    assert (server.unfinished(), left_in(tmp_path)) == ([], [])
    large = [bytes([number]) * 1_000_000 for number in range(30)]  # in parts, some at once
    assert await storage.put("a.ogg", chunks(*large), 10**9) == 30_000_000
    assert await all_of(storage, "a.ogg") == b"".join(large)
    assert await all_of(storage, "a.ogg", 8_000_000, 2_000_000) == b"".join(large[8:10])
    with pytest.raises(ValueError, match="not a name"):
        await storage.put("../a.ogg", chunks(b"x"), 10)


async def test_names_are_found_by_how_they_begin(storage: BucketStorage) -> None:
    for name in ("call_1.ogg", "call_1-2.ogg", "call_10.ogg", "src_1.raw", "src_1-3.part", "exp_1.zip"):
        await storage.put(name, chunks(b"x"), 10)
    assert await storage.names("src_1") == ["src_1-3.part", "src_1.raw"]
    assert await storage.names("call_1-") == ["call_1-2.ogg"]
    assert len(await storage.names("")) == 6
    assert await storage.names("call_", older_than_seconds=3600) == []


async def test_a_bucket_that_is_not_there_is_said(bucket: Bucket, tmp_path: Path) -> None:
    assert await BucketStorage(bucket, "blobs", tmp_path).why_not() == ""
    strange = BucketStorage(replace(bucket, secret="wrong"), "blobs", tmp_path)
    assert "cannot be read" in await strange.why_not()
    with pytest.raises(StorageUnavailable):
        await strange.size("a.ogg")


@pytest.mark.parametrize(
    "settings",
    [
        {"CALL2ME_STORAGE": "/srv/files"},
        {"CALL2ME_STORAGE": "s3://"},
        {"CALL2ME_STORAGE": "s3://key:secret@bucket/x"},
        {"CALL2ME_STORAGE": "s3://bucket/../x"},
        {"CALL2ME_STORAGE": "s3://bucket/x?enpoint=http://127.0.0.1"},
        {"CALL2ME_STORAGE": "s3://bucket/x?endpoint=ftp://127.0.0.1"},
        {"CALL2ME_STORAGE": "s3://bucket/x", "AWS_ACCESS_KEY_ID": "AKIA"},
    ],
)
def test_settings_that_cannot_be_meant_are_refused(settings: dict[str, str]) -> None:
    with pytest.raises(SettingsError):
        bucket_of(Environment(settings))
    assert bucket_of(Environment({})) is None


# ── the whole api on it ──────────────────────────────────────────────────────────────────────────
def memory(api: Api) -> float:
    """What the serving process holds, in MB."""
    port = int(api.url.rsplit(":", 1)[1])
    for process in psutil.Process().children(recursive=True):
        if any(one.laddr.port == port for one in process.net_connections() if one.status == "LISTEN"):
            return float(process.memory_info().rss) / 1e6
    raise AssertionError("nobody listens there")


def exported(person: Person) -> zipfile.ZipFile:
    id_ = person.ask("POST", "/v1/users/me/exports").json["export_id"]
    deadline = time.monotonic() + 30
    while person.ask("GET", f"/v1/users/me/exports/{id_}").json["status"] != "complete":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    reply = person.ask("GET", f"/v1/users/me/exports/{id_}/download", headers=BYTES)
    assert reply.status == 200
    return zipfile.ZipFile(io.BytesIO(reply.raw))


@pytest.mark.slow
def test_an_api_keeps_what_grows_in_the_bucket(tmp_path: Path) -> None:
    sound = b"OggS" + bytes(range(256)) * 400_000  # 102 MB
    with (
        bucket_server(tmp_path / "s3") as server,
        running_house(tmp_path / "home", **server.settings) as house,
    ):
        person = house.person()
        call_id = house.call(person)
        path = f"/v1/calls/{call_id}/recording"
        before = memory(house.api)
        assert house.worker.upload(call_id, sound, duration_ms=2500).status == 204
        assert server.kept("recordings") == {f"{call_id}.ogg"}
        assert person.ask("GET", path, headers=BYTES).raw == sound
        assert memory(house.api) - before < 60
        part = person.ask("GET", path, headers={**BYTES, "Range": "bytes=1000-1999"})
        assert (part.status, part.raw) == (206, sound[1000:2000])
        link = person.ask("GET", path, headers={"Accept": "application/json"}).json["recording_url"]
        signed = house.api.ask("GET", link.removeprefix(house.api.url), headers=BYTES)
        assert (signed.status, len(signed.raw)) == (200, len(sound))
        assert house.api.ask("GET", link.removeprefix(house.api.url)[:-1] + "x", headers=BYTES).status == 403

        text = {"title": "Parking", "text": "Cars may stand behind the house."}
        body = {"knowledge_base_name": "Shop", "embedder": "words", "knowledge_base_texts": [text]}
        base = read(person, person.made("/v1/knowledge-base", body))
        assert any(name.endswith(".index") for name in server.kept("knowledge"))
        found = asked(person, base, "Where may cars stand?", threshold=0)["results"]
        assert "behind the house" in json.dumps(found)

        names = exported(person).namelist()
        assert f"recordings/{call_id}.ogg" in names
        assert any(name.endswith(".zip") for name in server.kept("recordings"))
        for folder in ("recordings", "knowledge"):
            assert list((house.api.home / folder).iterdir()) == []

        server.stop()
        assert "the bucket" in house.api.ask("GET", "/ready").raw.decode()
        gone = person.ask("GET", path, headers=BYTES)
        assert (gone.status, gone.headers["retry-after"]) == (503, "1")
        server.start()
        assert person.ask("GET", path, headers={**BYTES, "Range": "bytes=0-3"}).raw == b"OggS"

        script = Script(call_id)
        assert house.worker.tell(script.started(), script.ended(5)).status == 200
        house.worker.status["call_ids"] = []
        deadline = time.monotonic() + 30
        while person.ask("DELETE", f"/v1/calls/{call_id}").status == 409:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        assert person.ask("DELETE", f"/v1/knowledge-base/{base['knowledge_base_id']}").status < 300
        while f"{call_id}.ogg" in server.kept("recordings") or server.kept("knowledge"):
            assert time.monotonic() < deadline, (server.kept("recordings"), server.kept("knowledge"))
            time.sleep(0.2)
