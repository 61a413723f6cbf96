"""One-time links: minted at the machine, good once, and not for long."""

import asyncio
from datetime import timedelta

from api.auth import links
from api.db.engine import Database
from api.settings import Settings
from api.users import service as users
from tests.support.api import Api, Person


def _mint(api: Api, person: Person, lifetime: timedelta = timedelta(hours=1)) -> str:
    async def run() -> str:
        database = Database(Settings.load(api.environment).database_url)
        async with database.transaction() as session:
            user = await users.find(session, person.email)
            assert user is not None
            token = await links.mint(session, user, lifetime)
        await database.close()
        return token

    return asyncio.run(run())


def test_a_link_signs_in_once(api: Api, person: Person) -> None:
    body = {"token": _mint(api, person)}
    first = api.ask("POST", "/v1/auth/quick-login/verify", body)
    assert first.status == 200
    assert api.ask("GET", "/v1/auth/me", token=first.json["access_token"]).json["email"] == person.email
    assert api.ask("POST", "/v1/auth/quick-login/verify", body).status == 401


def test_of_many_who_use_a_link_at_once_one_gets_in(api: Api, person: Person) -> None:
    body = {"token": _mint(api, person)}

    async def race() -> list[int]:
        replies = await asyncio.gather(
            *(asyncio.to_thread(api.ask, "POST", "/v1/auth/quick-login/verify", body) for _ in range(8))
        )
        return sorted(reply.status for reply in replies)

    assert asyncio.run(race()) == [200] + [401] * 7


def test_of_many_who_use_a_refresh_token_at_once_at_most_one_stays(api: Api, person: Person) -> None:
    body = {"refresh_token": person.credentials["refresh_token"]}

    async def race() -> list[int]:
        replies = await asyncio.gather(
            *(asyncio.to_thread(api.ask, "POST", "/v1/auth/refresh", body) for _ in range(8))
        )
        return sorted(reply.status for reply in replies)

    assert asyncio.run(race()) == [200] + [401] * 7


def test_a_link_that_is_too_old_or_made_up_is_refused(api: Api, person: Person) -> None:
    for token in (_mint(api, person, timedelta(seconds=-1)), "once_made-up", "x"):
        assert api.ask("POST", "/v1/auth/quick-login/verify", {"token": token}).status == 401
