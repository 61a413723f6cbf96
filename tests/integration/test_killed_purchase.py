"""A number is bought once, charged once and given back once, wherever the api is killed."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.api import ROOT, Person, running_api
from tests.support.buying_api import FAILING, POINTS, RETURNING
from tests.support.dying_server import answers, dies, serving
from tests.support.telnyx import KEY, telnyx

SERVER = "tests.support.buying_api"
GOOD, BAD = "+13125550100", "+13125550101"


def becomes(person: Person, path: str, status: str) -> None:
    deadline = time.monotonic() + 30
    while person.ask("GET", path).json["status"] != status:
        assert time.monotonic() < deadline, person.ask("GET", path).raw
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.timeout(1200)
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

        dies(api, SERVER, POINTS, buys)
        assert (len(account.orders), len(account.connections), len(account.profiles)) == (1, 1, 1)
        assert len(account.numbers) == 1
        dies(api, SERVER, FAILING, fails)
        assert len(account.orders) == 1
        dies(api, SERVER, RETURNING, goes_back)
        with serving(api, SERVER) as process:
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
