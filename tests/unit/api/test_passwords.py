"""Passwords: hashed slowly, in a few threads, with a bound on those who wait."""

import asyncio

import pytest

from api.auth.passwords import _NOBODY, Passwords, TooManyLogins


async def test_a_password_matches_its_own_hash_only() -> None:
    passwords = Passwords()
    kept = await passwords.hash("correct horse")
    assert kept.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert await passwords.matches(kept, "correct horse")
    assert not await passwords.matches(kept, "wrong horse")
    assert not await passwords.matches("not a hash", "correct horse")
    passwords.close()


async def test_nobodys_password_is_as_slow_to_refuse_as_anybodys() -> None:
    passwords = Passwords()
    assert not await passwords.matches(None, "correct horse")
    assert _NOBODY.split("$")[1:4] == (await passwords.hash("x")).split("$")[1:4]
    passwords.close()


async def test_more_than_can_wait_are_told_to_come_back() -> None:
    passwords = Passwords(threads=1, waiting=1)
    done = await asyncio.gather(*(passwords.hash("x") for _ in range(5)), return_exceptions=True)
    assert sum(isinstance(result, str) for result in done) == 2
    refused = [result for result in done if isinstance(result, TooManyLogins)]
    assert len(refused) == 3
    assert refused[0].headers["Retry-After"] == "1"
    assert await passwords.hash("x")
    passwords.close()


@pytest.mark.parametrize("password", ["é" * 36, "\x00null", "🦷" * 18])
async def test_any_text_is_a_password(password: str) -> None:
    passwords = Passwords()
    assert await passwords.matches(await passwords.hash(password), password)
    passwords.close()
