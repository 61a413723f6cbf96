"""Sliding windows, on a clock that stands still until told."""

from dataclasses import dataclass

import pytest

from api.http import rate_limits
from api.http.errors import TooManyRequests
from api.http.rate_limits import Limit, MemoryWindows, RateLimits, network_of

TEN = Limit("ten", 10)


@dataclass
class Clock:
    now: float = 1200.0
    """Where a window of a minute begins."""

    def __call__(self) -> float:
        return self.now


def limited(clock: Clock) -> RateLimits:
    return RateLimits(MemoryWindows(clock))


async def spend(limits: RateLimits, key: str = "a", most: int = 100) -> int:
    """How many requests are allowed now."""
    for allowed in range(most):
        try:
            await limits.take(TEN, key)
        except TooManyRequests:
            return allowed
    return most


async def test_as_many_are_allowed_as_the_limit_says_and_then_when_to_come_back() -> None:
    clock = Clock()
    limits = limited(clock)
    standings = [await limits.take(TEN, "a") for _ in range(10)]
    assert [s.remaining for s in standings if s] == list(range(9, -1, -1))
    with pytest.raises(TooManyRequests) as refused:
        await limits.take(TEN, "a")
    assert refused.value.headers["X-RateLimit-Limit"] == "10"
    assert refused.value.headers["X-RateLimit-Remaining"] == "0"
    assert refused.value.headers["X-RateLimit-Reset"] == "1320"
    wait = int(refused.value.headers["Retry-After"])
    clock.now += wait - 1.01
    assert await spend(limits) == 0
    clock.now += 1.01
    assert await spend(limits) == 1


async def test_no_minute_has_more_than_the_limit_wherever_it_begins() -> None:
    clock = Clock(1200.0)
    limits = limited(clock)
    allowed = []
    for _ in range(600):
        clock.now += 0.5
        try:
            await limits.take(TEN, "a")
            allowed.append(clock.now)
        except TooManyRequests:
            pass
    busiest = max(sum(begin <= at < begin + 60 for at in allowed) for begin in allowed)
    assert 9 <= busiest <= 11  # the window before counts as if it had been used evenly
    assert len(allowed) >= 45


async def test_a_window_that_is_long_gone_counts_no_more() -> None:
    clock = Clock()
    limits = limited(clock)
    assert await spend(limits) == 10
    clock.now += 121
    assert await spend(limits) == 10


async def test_looking_counts_nothing() -> None:
    limits = limited(Clock())
    for _ in range(50):
        await limits.look(TEN, "a")
    assert await spend(limits) == 10
    with pytest.raises(TooManyRequests):
        await limits.look(TEN, "a")


async def test_one_who_asks_too_much_stops_nobody_else() -> None:
    limits = limited(Clock())
    await spend(limits)
    assert await limits.take(TEN, "b") is not None
    assert await limits.take(Limit("other", 10), "a") is not None


async def test_a_clock_set_back_gives_nothing_back() -> None:
    clock = Clock()
    limits = limited(clock)
    await spend(limits, most=4)
    clock.now -= 500
    assert await spend(limits) == 6


async def test_a_flood_of_keys_takes_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limits, "MAX_WINDOWS", 100)
    windows = MemoryWindows(Clock())
    limits = RateLimits(windows)
    for number in range(1000):
        await limits.take(TEN, str(number))
    assert len(windows._kept) == 100


async def test_off_means_off() -> None:
    limits = RateLimits(is_on=False)
    assert [await limits.take(Limit("one", 1), "a") for _ in range(5)] == [None] * 5


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unknown", "unknown"),
        ("", ""),
    ],
)
def test_one_customer_of_ipv6_is_one_address(address: str, counted: str) -> None:
    assert network_of(address) == counted
