"""A number is bought once, charged once and given back once, wherever the api is killed."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.support.api import ROOT, Api, Person, running_api
from tests.support.buying_api import FAILING, POINTS, RETURNING
from tests.support.telnyx import KEY, telnyx

GOOD, BAD = "+13125550100", "+13125550101"


@contextmanager
def serving(api: Api, point: str = "") -> Iterator["subprocess.Popen[bytes]"]:
    """The api on the same data, until it dies or the block ends."""
    with (api.home / "buying.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.buying_api", *([point] if point else [])],
            env=api.environment,
            cwd=ROOT,
            stdout=log,
            stderr=log,
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)


def answers(api: Api, process: "subprocess.Popen[bytes]") -> bool:
    """Wait until it serves; False where it died before that."""
    deadline = time.monotonic() + 60
    while process.poll() is None:
        assert time.monotonic() < deadline
        with suppress(OSError):
            if api.ask("GET", "/health/live").status == 200:
                return True
        time.sleep(0.05)
    return False


def dies(api: Api, points: Iterable[str], first: Callable[[], object]) -> None:
    """Do something once the api serves, and let it die at each point on the way of that."""
    for number, point in enumerate(points):
        with serving(api, point) as process:
            is_up = answers(api, process)
            if number == 0:
                assert is_up
                with suppress(OSError):
                    first()
            assert process.wait(60) == -9, (point, (api.home / "buying.log").read_text()[-2000:])
        time.sleep(1.2)  # what stood still for a moment is overdue now


def becomes(person: Person, path: str, status: str) -> None:
    deadline = time.monotonic() + 30
    while person.ask("GET", path).json["status"] != status:
        assert time.monotonic() < deadline, person.ask("GET", path).raw
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_purchase_that_meets_a_death_at_every_line_is_one_purchase(tmp_path: Path) -> None:
    with telnyx() as account:
        account.sell(GOOD)
        account.sell(BAD)
        settings = {
            "CALL2ME_JWT_SECRET": "j" * 40,
            "TELNYX_API_KEY": KEY,
            "CALL2ME_TELNYX_URL": account.url,
            "CALL2ME_BILLING": "on",
        }
        with running_api(tmp_path / "home", **settings) as api:
            person = api.person()
        credited = subprocess.run(
            [sys.executable, "-m", "api.cli", "wallet", "credit", person.email, "10", "--note", "Paid in"],
            env=api.environment,
            cwd=ROOT,
            capture_output=True,
            check=True,
        )
        assert b"Credited" in credited.stdout

        def buys() -> None:
            person.ask("POST", "/v1/numbers/purchase", {"phone_number": GOOD})

        def fails() -> None:
            order = person.ask("GET", "/v1/numbers/orders").json[0]["order_id"]
            becomes(person, f"/v1/numbers/orders/{order}", "active")
            assert charges(person) == [-2.0]
            account.fault("POST", "/number_orders", "402", times=1_000)
            person.ask("POST", "/v1/numbers/purchase", {"phone_number": BAD})

        def goes_back() -> None:
            order = person.ask("GET", "/v1/numbers/orders").json[0]["order_id"]
            becomes(person, f"/v1/numbers/orders/{order}", "failed")
            assert person.ask("GET", "/v1/wallet/balance").json["held_usd"] == 0
            person.ask("DELETE", f"/v1/phone-numbers/{GOOD}")

        dies(api, POINTS, buys)
        assert (len(account.orders), len(account.connections), len(account.profiles)) == (1, 1, 1)
        assert len(account.numbers) == 1
        dies(api, FAILING, fails)
        assert len(account.orders) == 1
        dies(api, RETURNING, goes_back)
        with serving(api) as process:
            assert answers(api, process)
            states = [one["status"] for one in person.ask("GET", "/v1/numbers/orders").json]
            assert states == ["failed", "released"]
            assert person.ask("GET", "/v1/phone-numbers").json == []
            assert charges(person) == [-2.0]
        assert account.numbers == {}


def charges(person: Person) -> list[float]:
    """What was taken from the wallet, and the book is right."""
    rows = person.ask("GET", "/v1/wallet/transactions?type=usage").json["transactions"]
    return [row["amount_usd"] for row in rows]
