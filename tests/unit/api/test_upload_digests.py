"""A form's hash is that of its content, however it arrives and whatever its boundary is called."""

import random
from itertools import pairwise

import pytest

from api.http import upload_digests
from api.http.upload_digests import WatchedBody


class Stream:
    """Bytes in pieces, some of which are put back."""

    def __init__(self, raw: bytes) -> None:
        self._left = bytearray(raw)

    async def read(self, size: int) -> bytes:
        found = bytes(self._left[:size])
        del self._left[:size]
        return found

    def unread_data(self, data: bytes) -> None:
        self._left[:0] = data


def body(boundary: bytes, content: bytes) -> bytes:
    return b"--" + boundary + b"\r\n\r\n" + content + b"\r\n--" + boundary + b"--\r\n"


async def digest(boundary: bytes, content: bytes, seed: int) -> str:
    chance = random.Random(seed)  # noqa: S311 - where the pieces end
    watched = WatchedBody(Stream(body(boundary, content)), boundary)
    while chunk := await watched.read(chance.randrange(1, 400)):
        if chance.random() < 0.3:
            watched.unread_data(chunk[chance.randrange(len(chunk)) :])
    return await watched.digest()


async def test_the_same_content_is_the_same_and_other_content_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload_digests, "_HELD", 500)
    same = {
        await digest(boundary, b"one" * 3000, seed)
        for seed, boundary in enumerate([b"x" * 20, b"----WebKitFormBoundary7MA4YWxk", b"b" * 60] * 10)
    }
    assert len(same) == 1
    assert await digest(b"x" * 20, b"one" * 2999 + b"onf", 1) not in same
    assert all(
        one != other for one, other in pairwise([await digest(b"x" * 20, b"a" * n, 1) for n in (1, 2, 3)])
    )


async def test_more_than_is_expected_behind_a_form_is_not_read() -> None:
    watched = WatchedBody(Stream(b"x" * 3_000_000), b"boundary")
    assert await watched.digest() == ""
