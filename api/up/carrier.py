"""What `call2me telnyx check` finds out at the real Telnyx with the real key: it buys and changes nothing."""

import asyncio
from collections.abc import Iterator

from api.db.engine import Database
from api.outside.carrier import CarrierRefused, CarrierUnavailable, Wanted
from api.outside.telnyx import Telnyx
from api.phone_numbers.table import CarrierConnectionRow
from api.settings import Settings
from api.up.errors import CannotStart
from api.up.prepare import in_database

Line = tuple[bool, str]


def check(settings: Settings) -> Iterator[Line]:
    """Whether each part works, in a sentence. Raises `CannotStart` where there is no key."""
    known = settings.carrier
    if not known.telnyx_key:
        raise CannotStart("TELNYX_API_KEY is not set: make a key in Telnyx's portal and set it.")
    yield from asyncio.run(_asked(settings))
    if known.telnyx_public_keys:
        yield True, "Events are verified with TELNYX_PUBLIC_KEY."
    else:
        yield (
            False,
            "TELNYX_PUBLIC_KEY is not set: events are refused, and orders are only looked at now and then.",
        )
    connection = in_database(settings, _connection)
    if connection is None:
        yield True, "No number was bought yet; the SIP connection is made with the first one."
    else:
        yield True, f"The SIP connection is {connection}, over {known.sip_transport}:{known.sip_server}."
    yield True, _texts(settings.public_url)


def _texts(url: str) -> str:
    if not url.startswith("https://"):
        return (
            "CALL2ME_PUBLIC_URL is no https:// address: text messages can be sent, none comes in, and nobody "
            "learns what became of one."
        )
    return (
        f"Text messages come to {url}/v1/sms/webhooks/telnyx. To see them work, write to a number of yours "
        "from a telephone: its agent answers, and GET /v1/sms shows both messages."
    )


async def _asked(settings: Settings) -> list[Line]:
    known = settings.carrier
    client = Telnyx(known.telnyx_key, known.telnyx_public_keys, known.telnyx_url)
    found: list[Line] = []
    try:
        account = await client.account()
        found.append((True, f"The key works. Balance: {account.balance} {account.currency}."))
        for country in sorted(known.countries):
            try:
                offers = await client.search(Wanted(country, features=("voice",), limit=1))
            except CarrierRefused as refused:
                found.append((False, f"{country}: {refused}"))
                continue
            words = (
                f"from {offers[0].monthly_micros / 1e6:.2f} USD a month" if offers else "none for sale now"
            )
            found.append((bool(offers), f"Numbers of {country}: {words}."))
    except (CarrierUnavailable, CarrierRefused) as error:
        found.append((False, f"Telnyx: {error}."))
    finally:
        await client.close()
    return found


async def _connection(database: Database) -> str | None:
    async with database.transaction(writes=False) as session:
        row = await session.get(CarrierConnectionRow, Telnyx.name)
        return row.connection_id if row is not None else None
