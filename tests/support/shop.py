"""An api that sells Telnyx's numbers: people who paid money in, numbers that they buy, and the book."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from api import tables
from api.db.engine import Database
from api.db.vault import Vault
from api.durable.table import LetterRow
from api.settings import Settings
from api.wallet import credit, ledger
from tests.support.api import Api, Person, running_api
from tests.support.telnyx import KEY, FakeTelnyx, telnyx

T = TypeVar("T")
_numbers = count(1)


@dataclass
class Shop:
    """An api that sells Telnyx's numbers, with billing, and a margin of 50 %."""

    api: Api
    telnyx: FakeTelnyx

    def number(self, **how: Any) -> str:
        """A number on sale."""
        return self.telnyx.sell(f"+1312555{next(_numbers):04d}", **how)

    def person(self, usd: int = 20) -> Person:
        """Somebody who paid money in."""
        person = self.api.person()
        if usd:
            self.give(person, usd)
        return person

    def give(self, person: Person, usd: int) -> None:
        """More money."""
        owner_id = person.credentials["user"]["user_id"]
        self.run(lambda s: credit.grant(s, owner_id, Decimal(usd), note="Paid in", granted_by="test"))

    def run(self, work: Callable[[AsyncSession], Awaitable[T]]) -> T:
        """Something that is done in the api's own database."""

        tables.load()

        async def done() -> T:
            settings = Settings.load(self.api.environment)
            database = Database(settings.database_url, Vault.of(settings))
            try:
                async with database.transaction() as session:
                    return await work(session)
            finally:
                await database.close()

        return asyncio.run(done())

    def buy(self, person: Person, number: str, **asked: Any) -> dict[str, Any]:
        """A purchase that must be taken."""
        reply = person.ask("POST", "/v1/numbers/purchase", {"phone_number": number, **asked})
        assert reply.status == 200, reply.raw
        told: dict[str, Any] = reply.json
        return told

    def bought(self, person: Person, number: str, **asked: Any) -> dict[str, Any]:
        """A number that is bought and there."""
        order = self.buy(person, number, **asked)
        assert becomes(person, order["order_id"]) == "active"
        return order

    def letters(self, person: Person) -> list[str]:
        """The subjects of what was written to somebody of a number."""

        async def read(session: AsyncSession) -> list[str]:
            found = await session.exec(select(LetterRow.subject).where(LetterRow.to == person.email))
            return [subject for subject in found.all() if "number" in subject]

        return self.run(read)

    def books(self) -> list[str]:
        """What is wrong with the money."""
        return self.run(ledger.faults)


def becomes(person: Person, order_id: str, seconds: float = 30) -> str:
    """What an order comes to."""
    deadline = time.monotonic() + seconds
    while True:
        order = person.ask("GET", f"/v1/numbers/orders/{order_id}").json
        if order["status"] != "pending" or time.monotonic() > deadline:
            return str(order["status"])
        time.sleep(0.1)


def money(person: Person) -> tuple[float, float]:
    """Balance, and what is held."""
    told = person.ask("GET", "/v1/wallet/balance").json
    return told["balance_usd"], told["held_usd"]


def listed(person: Person) -> list[tuple[str, str]]:
    """Numbers of somebody, and their standing."""
    return [(one["number"], one["status"]) for one in person.ask("GET", "/v1/phone-numbers").json]


def until(is_so: Callable[[], bool], seconds: float = 20) -> None:
    """Wait for a claim."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def settings_of(account: FakeTelnyx, rates: Path) -> dict[str, str]:
    """Settings of one; `rates` is written."""
    rates.write_text('{"margin_percent": 50, "signup_bonus_usd": 5, "sms_rate_per_segment": 0.02}')
    return {
        "TELNYX_API_KEY": KEY,
        "TELNYX_PUBLIC_KEY": account.public_key,
        "CALL2ME_TELNYX_URL": account.url,
        "CALL2ME_TELNYX_SIP": "tcp:sip.telnyx.com",
        "CALL2ME_NUMBER_COUNTRIES": "US,CA,DE",
        "CALL2ME_PUBLIC_URL": "https://call2me.example.com",
        "CALL2ME_BILLING": "on",
        "CALL2ME_RATES": str(rates),
    }


@contextmanager
def running_shop(folder: Path, database_url: str = "") -> Iterator[Shop]:
    """One that serves until the block ends."""
    with telnyx() as account:
        settings = settings_of(account, folder / "rates.json")
        with running_api(folder / "home", database_url, **settings) as api:
            yield Shop(api, account)
