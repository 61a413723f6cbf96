"""Keys that were recognised a moment ago, on a clock that stands still until told."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest

from api.api_keys import known
from api.api_keys.known import KNOWN_SECONDS, KnownKey, KnownKeys
from api.db.columns import now
from api.http.callers import Caller


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


def key(expires_at: datetime | None = None) -> KnownKey:
    return KnownKey(Caller("me", "me", "api_key", key_id="key_1"), expires_at, None)


def test_a_key_is_known_for_a_moment_and_not_after_its_time() -> None:
    clock = Clock()
    keys = KnownKeys(clock)
    keys.keep("a", mine := key(), keys.generation)
    keys.keep("b", key(now() - timedelta(seconds=1)), keys.generation)
    assert keys.find("a") is mine
    assert keys.find("b") is None
    assert keys.find("c") is None
    clock.now += KNOWN_SECONDS
    assert keys.find("a") is None


async def test_what_was_read_before_a_revocation_is_not_kept_after_it() -> None:
    keys = KnownKeys()
    generation = keys.generation
    keys.keep("a", key(), generation)
    await keys.forget()
    keys.keep("b", key(), generation)
    assert keys.find("a") is None
    assert keys.find("b") is None
    keys.keep("c", mine := key(), keys.generation)
    assert keys.find("c") is mine


def test_the_key_that_was_kept_first_is_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known, "MAX_KNOWN", 2)
    keys = KnownKeys()
    for name in ("a", "b", "c"):
        keys.keep(name, key(), keys.generation)
    assert [keys.find(name) is not None for name in ("a", "b", "c")] == [False, True, True]
