"""Numbers bought from Telnyx as time goes by: rented by the month, given back, by whoever must."""

from datetime import timedelta

from sqlmodel.ext.asyncio.session import AsyncSession

from api.db.columns import now
from api.phone_numbers import renting, routing
from api.phone_numbers.table import NumberOrderRow
from tests.support.api import AGENT, PASSWORD
from tests.support.shop import Shop, becomes, listed, money, until


def test_a_number_that_is_given_back_is_released_there_and_costs_no_more(shop: Shop) -> None:
    for how in ("/v1/phone-numbers", "/v1/numbers"):
        person, number = shop.person(), shop.number()
        order = shop.bought(person, number)
        assert shop.api.person().ask("DELETE", f"{how}/{number}").status == 404
        shop.telnyx.fault("DELETE", "/phone_numbers", "lost")
        assert person.ask("DELETE", f"{how}/{number}").status in {200, 204}
        assert listed(person) == []
        until(lambda n=number: all(one["phone_number"] != n for one in shop.telnyx.numbers.values()), 40)
        assert becomes(person, order["order_id"]) == "released"
        assert money(person) == (22.0, 0.0)


def _later(shop: Shop, order_id: str, **shift: float) -> None:
    """As if an order's dates were that much longer ago, and its rent is looked at now."""

    async def done(session: AsyncSession) -> None:
        row = await session.get_one(NumberOrderRow, order_id)
        for name in ("paid_until", "try_rent_at", "owed_since"):
            if (moment := getattr(row, name)) is not None:
                setattr(row, name, moment - timedelta(**shift))
        session.add(row)

    shop.run(done)
    for _ in range(2):  # a second look charges nothing more
        shop.run(lambda session: renting.collect(session, order_id, is_billed=True))


def test_rent_is_charged_once_a_month(shop: Shop) -> None:
    person, number = shop.person(), shop.number()
    order_id = shop.bought(person, number)["order_id"]
    _later(shop, order_id, days=29)
    assert money(person) == (22.0, 0.0)
    _later(shop, order_id, days=2)
    assert money(person) == (20.5, 0.0)
    _later(shop, order_id, days=60)  # two months in which nothing ran here
    assert money(person) == (17.5, 0.0)
    told = person.ask("GET", f"/v1/numbers/orders/{order_id}").json
    assert (told["months_paid"], told["paid_until"] > now().isoformat()) == (4, True)
    recent = person.ask("GET", "/v1/wallet/analytics").json["recent"]
    assert {(row["method"], row["path"]) for row in recent} == {("NUMBER", f"/v1/numbers/orders/{order_id}")}
    assert person.ask("GET", recent[0]["path"]).json["phone_number"] == number
    (day,) = person.ask("GET", "/v1/users/me/usage/daily").json
    assert (day["total_requests"], day["calls_made"]) == (4, 0)
    assert shop.books() == []


def test_unpaid_rent_suspends_after_three_days_and_gives_back_after_ten(shop: Shop) -> None:
    person, number = shop.person(1), shop.number()  # 6 dollars with the welcome credit
    order_id = shop.bought(person, number, agent_id=person.made("/v1/agents", AGENT)["agent_id"])["order_id"]
    _later(shop, order_id, days=61)  # two months more: nothing is left
    assert (money(person), listed(person)) == ((0.0, 0.0), [(number, "active")])
    _later(shop, order_id, days=30)
    assert listed(person) == [(number, "active")]
    _later(shop, order_id, days=3, hours=1)
    assert listed(person) == [(number, "suspended")]
    assert shop.run(lambda session: routing.inbound(session, number)) is None
    assert person.ask("PATCH", f"/v1/phone-numbers/{number}", {"active": True}).json["status"] == "suspended"
    shop.give(person, 2)
    _later(shop, order_id, days=1)
    assert (listed(person), money(person)) == ([(number, "active")], (0.5, 0.0))
    assert shop.run(lambda session: routing.inbound(session, number)) is not None
    _later(shop, order_id, days=31)
    _later(shop, order_id, days=4)
    _later(shop, order_id, days=7)
    assert (listed(person), money(person)) == ([], (0.5, 0.0))
    subjects = shop.letters(person)
    assert sorted(subjects) == [
        "A number is suspended",
        "A number is suspended",
        "A number was given back",
        "The rent of a number is due",
        "The rent of a number is due",
    ]


def test_an_erased_owners_numbers_go_back_also_one_that_comes_afterwards(shop: Shop) -> None:
    person, number, late = shop.person(), shop.number(), shop.number()
    shop.bought(person, number)
    shop.telnyx.looks = -1
    try:
        shop.buy(person, late)
        until(lambda: len(shop.telnyx.bought(late)) == 1)
        (order,) = shop.telnyx.bought(late)
        reply = person.ask("DELETE", "/v1/users/me", {"email": person.email, "password": PASSWORD})
        assert reply.status == 202, reply.raw
        until(lambda: number not in _held(shop), 30)
    finally:
        shop.telnyx.looks = 0
    until(lambda: order["status"] == "success", 60)
    until(lambda: late not in _held(shop), 30)
    assert shop.books() == []


def _held(shop: Shop) -> set[str]:
    return {one["phone_number"] for one in list(shop.telnyx.numbers.values())}
