"""Rate limits that processes share in a real Redis; and each process by itself while there is none."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from api.http.errors import TooManyRequests
from api.http.rate_limits import Limit, RateLimits
from api.http.shared_limits import RedisWindows
from tests.support.api import running_api
from tests.support.ports import free_port

TEN = Limit("ten", 10)


@contextmanager
def redis(folder: Path, port: int) -> Iterator[str]:
    """A Redis of our own; its address."""
    process = subprocess.Popen(
        ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)],
        stdout=subprocess.DEVNULL,
    )
    url = f"redis://127.0.0.1:{port}/0"
    try:
        deadline = time.monotonic() + 10
        while (
            subprocess.run(
                ["redis-cli", "-p", str(port), "ping"], capture_output=True, check=False
            ).stdout.strip()
            != b"PONG"
        ):
            assert time.monotonic() < deadline, "redis did not start"
            time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        process.wait(10)


async def spend(limits: RateLimits, limit: Limit, key: str, most: int = 50) -> int:
    """How many requests are allowed now."""
    for allowed in range(most):
        try:
            await limits.take(limit, key)
        except TooManyRequests:
            return allowed
    return most


async def test_two_processes_count_together_and_say_how_one_stands(tmp_path: Path) -> None:
    with redis(tmp_path, free_port()) as url:
        one, two = RedisWindows(url), RedisWindows(url)
        first = await one.use(TEN, "a")
        second = await two.use(TEN, "a")
        assert (first.remaining, second.remaining) == (9, 8)
        assert time.time() < second.reset_at <= time.time() + 121
        looked = await two.use(TEN, "a", cost=0)
        assert (looked.remaining, looked.is_allowed) == (8, True)
        assert await spend(RateLimits(one), TEN, "a") == 8
        with pytest.raises(TooManyRequests) as refused:
            await RateLimits(two).take(TEN, "a")
        assert 1 <= int(refused.value.headers["Retry-After"]) <= 121
        assert await spend(RateLimits(two), TEN, "b") == 10
        await one.close()
        await two.close()


async def test_whoever_comes_back_when_told_to_is_let_in(tmp_path: Path) -> None:
    quick = Limit("quick", 5, 2)
    with redis(tmp_path, free_port()) as url:
        windows = RedisWindows(url)
        limits = RateLimits(windows)
        assert await spend(limits, quick, "a") == 5
        for _ in range(3):
            await spend(limits, quick, "a")
            with pytest.raises(TooManyRequests) as refused:
                await limits.take(quick, "a")
            time.sleep(int(refused.value.headers["Retry-After"]))  # noqa: ASYNC251 - nothing else runs
            assert await limits.take(quick, "a") is not None
        await windows.close()


async def test_while_redis_is_gone_each_process_counts_for_itself(tmp_path: Path) -> None:
    port = free_port()
    with ExitStack() as stack:
        url = stack.enter_context(redis(tmp_path, port))
        windows = RedisWindows(url)
        assert (await windows.use(TEN, "a")).remaining == 9
        stack.close()
        began = time.monotonic()
        assert await spend(RateLimits(windows), TEN, "a") == 10
        assert time.monotonic() - began < 2  # it was asked once, and then left alone
        await windows.close()


def test_two_apis_with_one_redis_share_what_a_user_has(tmp_path: Path) -> None:
    with redis(tmp_path, free_port()) as url:
        settings = {"CALL2ME_RATE_LIMITS": "on", "CALL2ME_REDIS_URL": url, "CALL2ME_USER_RATE_LIMIT": "20"}
        with running_api(tmp_path / "home", **settings) as first:
            person = first.person()
            with running_api(tmp_path / "home", **settings) as second:
                asked = [
                    api.ask("GET", "/v1/agents", token=person.token)
                    for _ in range(15)
                    for api in (first, second)
                ]
    assert 20 <= [reply.status for reply in asked].count(200) <= 21
    assert asked[-1].status == 429
    assert int(asked[-1].headers["retry-after"]) >= 1
