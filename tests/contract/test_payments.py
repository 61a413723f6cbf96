"""Ways in for money: until cards are taken, an administrator's grant is the only one, and says so."""

import os
from pathlib import Path

import pytest
from call2me import Call2Me, Call2MeError

from api.settings import Settings
from api.up import money
from tests.support.api import Api, Person, running_api


def test_what_an_administrator_gave_is_in_the_history(api: Api, person: Person) -> None:
    settings = Settings.load(api.environment)
    for usd in ("5", "7.25"):
        money.credit(settings, person.email, usd, "Paid in cash")
    listed = person.ask("GET", "/v1/payments/history?limit=1").json
    assert listed["total"] == 2
    (newest,) = listed["payments"]
    assert (newest["provider"], newest["amount_usd"], newest["status"]) == ("manual", 7.25, "completed")
    assert newest["created_at"] == newest["completed_at"]
    assert api.person().ask("GET", "/v1/payments/history").json == {"payments": [], "total": 0}


@pytest.mark.parametrize("path", ["/v1/payments/checkout", "/v1/payments/topup"])
def test_nobody_can_pay_by_card_and_nothing_is_credited(path: str, person: Person) -> None:
    for amount in (10, "10.50"):
        refused = person.ask("POST", path, {"amount": amount})
        assert (refused.status, refused.detail.split(";")[0]) == (503, "No payment provider is set up here")
    for amount in (0, -1, "ten", None):
        assert person.ask("POST", path, {"amount": amount}).status == 422
    refused = person.api.ask("POST", "/v1/payments/webhooks/stripe", raw=b"{}")
    assert (refused.status, refused.detail) == (403, "This event is not signed by the payment provider")
    assert person.ask("GET", "/v1/wallet/balance").json["balance_usd"] == 0


def test_without_a_card_nothing_is_charged_by_itself(person: Person) -> None:
    assert person.ask("GET", "/v1/payments/methods").json == {"methods": []}
    refused = person.ask("PUT", "/v1/payments/auto-charge", {"enabled": True, "threshold_usd": 1})
    assert (refused.status, refused.detail) == (400, "There is no saved payment method to charge")
    assert person.ask("PUT", "/v1/payments/auto-charge", {"enabled": False}).json["enabled"] is False
    assert person.ask("GET", "/v1/payments/auto-charge").json["enabled"] is False


def test_the_sdk_reads_payments(api: Api, person: Person) -> None:
    key = person.made("/v1/api-keys", {"name": "SDK"})["api_key"]
    with Call2Me(api_key=key, base_url=api.url) as client:
        assert client.payments.history() == {"payments": [], "total": 0}
        assert client.payments.saved_cards() == {"methods": []}
        assert client.payments.auto_charge()["enabled"] is False
        assert client.payments.update_auto_charge(False)["enabled"] is False
        with pytest.raises(Call2MeError, match="No payment provider"):
            client.payments.checkout(10)


def test_a_dollar_elsewhere_is_what_the_operators_file_says(tmp_path: Path, api: Api) -> None:
    path = "/v1/exchange-rate"
    assert api.ask("GET", path).status == 503
    assert api.ask("GET", f"{path}?target=USD").json["rate"] == 1
    rates = tmp_path / "rates.json"
    rates.write_text('{"TRY": 42.5, "EUR": 0.9}')
    with running_api(tmp_path / "home", CALL2ME_EXCHANGE_RATES=str(rates)) as other:
        found = other.ask("GET", path).json
        assert (found["base"], found["target"], found["rate"], found["source"]) == (
            "USD",
            "TRY",
            42.5,
            "operator",
        )
        rates.write_text('{"EUR": 0.8}')
        os.utime(rates, (1_800_000_000, 1_800_000_000))
        assert other.ask("GET", f"{path}?target=EUR").json["rate"] == 0.8
        assert other.ask("GET", path).status == 404
        assert other.ask("GET", f"{path}?target=eur").status == 422
        rates.write_text("no")
        assert other.ask("GET", f"{path}?target=EUR").status == 503
