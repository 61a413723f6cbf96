"""What a call costs, and how long an amount lasts."""

import json
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.wallet import rates
from api.wallet.charges import Tariff
from api.wallet.money import micros, text
from pipelines.environment import SettingsError

PLAIN = Tariff.of(rates.load(), is_phone=False, is_outbound=False, is_recorded=False, is_realtime=False)


def test_a_begun_second_is_charged_whole() -> None:
    price = PLAIN.price(59.2)
    assert (price.billed_seconds, price.total) == (60, 100_000)
    assert PLAIN.price(0).total == 0


def test_a_call_is_charged_for_what_it_has() -> None:
    dear = rates.load().model_copy(update={"telephony_rate_per_min": Decimal("0.02")})
    phone = Tariff.of(dear, is_phone=True, is_outbound=True, is_recorded=True, is_realtime=True)
    assert phone.price(60).parts == {
        "base": 100_000,
        "telephony": 20_000,
        "outbound": 30_000,
        "realtime": 250_000,
    }


def test_minutes_without_the_agent_are_not_recorded_ones() -> None:
    dear = rates.load().model_copy(update={"recording_rate_per_min": Decimal("0.06")})
    phone = Tariff.of(dear, is_phone=False, is_outbound=False, is_recorded=True, is_realtime=True)
    price = phone.price(300, 60)
    assert price.parts == {"base": 500_000, "recording": 60_000, "realtime": 250_000}
    assert (price.billed_seconds, price.agent_seconds) == (300, 60)
    assert phone.price(30, 60).parts == phone.price(30).parts, "the agent left after the end"
    kept = phone.model_copy(update={"is_recorded_after_transfer": True}).price(300, 60)
    assert kept.parts == {"base": 500_000, "recording": 300_000, "realtime": 250_000}
    assert (kept.seconds_of("recording"), kept.seconds_of("realtime")) == (300, 60)


def test_a_margin_is_added_and_shown() -> None:
    price = PLAIN.model_copy(update={"margin_percent": Decimal("12.5")}).price(90)
    assert (price.cost, price.margin, price.total) == (150_000, 18_750, 168_750)


rate = st.decimals(min_value="0.000001", max_value="100", places=6)


@settings(max_examples=200, deadline=None)
@given(
    rate=rate,
    margin=st.decimals(min_value="0", max_value="1000", places=2),
    step=st.integers(1, 60),
    amount=st.integers(0, 10_000_000),
    longest=st.integers(1, 7200),
)
def test_an_amount_is_enough_for_the_seconds_it_gives(
    rate: Decimal, margin: Decimal, step: int, amount: int, longest: int
) -> None:
    tariff = Tariff(per_minute={"base": rate}, margin_percent=margin, rounding_seconds=step)
    seconds = tariff.seconds_for(amount, longest)
    assert 0 <= seconds <= longest
    assert tariff.price(seconds).total <= amount
    if seconds < longest and tariff.price(step).total > 1000:  # else rounding may cost a step or two
        assert tariff.price(seconds + 2 * step).total > amount


def test_money_is_read_and_written_to_the_last_digit() -> None:
    assert micros("0.1") == micros(0.1) == 100_000
    assert micros("0.0000005") == 1
    assert (text(100_000), text(-1)) == ("0.100000", "-0.000001")


def test_what_a_file_of_rates_leaves_out_stays(tmp_path: Path) -> None:
    (tmp_path / "rates.json").write_text('{"base_rate_per_min": 0.07}')
    found = rates.load(tmp_path / "rates.json")
    assert found.base_rate_per_min == Decimal("0.07")
    assert found.outbound_surcharge_per_min == Decimal("0.03")


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("{", "not a JSON object"),
        ("[]", "not a JSON object"),
        (json.dumps({"base_rate_per_min": -1}), "base_rate_per_min"),
        (json.dumps({"base_rate_per_minute": 1}), "base_rate_per_minute"),
        (json.dumps({"rounding_seconds": 0}), "rounding_seconds"),
    ],
)
def test_a_file_of_rates_that_cannot_be_used_is_named(written: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "rates.json").write_text(written)
    with pytest.raises(SettingsError, match=says):
        rates.load(tmp_path / "rates.json")
    with pytest.raises(SettingsError, match="CALL2ME_RATES"):
        rates.load(tmp_path / "nowhere.json")
