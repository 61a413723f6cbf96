"""Token buckets, on a clock that stands still until told."""

from dataclasses import dataclass

import pytest

from api.http import rate_limits
from api.http.errors import TooManyRequests
from api.http.rate_limits import Limit, RateLimits

TEN = Limit("ten", 10)


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_full_bucket_allows_as_many_as_it_holds_and_says_when_to_come_back() -> None:
    clock = Clock()
    limits = RateLimits(clock=clock)
    standings = [limits.take(TEN, "a") for _ in range(10)]
    assert [s.remaining for s in standings if s] == list(range(9, -1, -1))
    with pytest.raises(TooManyRequests) as refused:
        limits.take(TEN, "a")
    assert refused.value.headers["Retry-After"] == "6"
    assert refused.value.headers["X-RateLimit-Remaining"] == "0"
    assert refused.value.headers["X-RateLimit-Reset"] == "1060"


def test_a_bucket_fills_evenly() -> None:
    clock = Clock()
    limits = RateLimits(clock=clock)
    for _ in range(10):
        limits.take(TEN, "a")
    clock.now += 6
    limits.take(TEN, "a")
    with pytest.raises(TooManyRequests):
        limits.take(TEN, "a")


def test_one_who_asks_too_much_stops_nobody_else() -> None:
    limits = RateLimits(clock=Clock())
    for _ in range(10):
        limits.take(TEN, "a")
    assert limits.take(TEN, "b") is not None
    assert limits.take(Limit("other", 10), "a") is not None


def test_a_clock_set_back_gives_no_tokens_and_takes_none() -> None:
    clock = Clock()
    limits = RateLimits(clock=clock)
    limits.take(TEN, "a")
    clock.now -= 500
    standing = limits.take(TEN, "a")
    assert standing is not None
    assert standing.remaining == 8


def test_a_flood_of_keys_takes_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limits, "MAX_BUCKETS", 100)
    limits = RateLimits(clock=Clock())
    for number in range(1000):
        limits.take(TEN, str(number))
    assert len(limits._buckets) == 100


def test_off_means_off() -> None:
    limits = RateLimits(is_on=False)
    assert all(limits.take(Limit("one", 1), "a") is None for _ in range(5))
