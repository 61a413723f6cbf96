"""What owners are charged: the rates that came with us, or the operator's own."""

import json
from decimal import Decimal
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipelines.environment import SettingsError

Dollars = Annotated[Decimal, Field(ge=0, le=10_000, max_digits=11, decimal_places=6)]


class Rates(BaseModel):
    """Prices in US dollars."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    note: str = ""
    base_rate_per_min: Dollars
    telephony_rate_per_min: Dollars
    """For a call that has a telephone at one end."""
    recording_rate_per_min: Dollars
    chat_rate_per_message: Dollars
    sms_rate_per_segment: Dollars
    """For each part of a text message that is sent."""
    realtime_surcharge_per_min: Dollars
    """Where one model hears, thinks and speaks."""
    outbound_surcharge_per_min: Dollars
    interpreter_surcharge_per_min: Dollars
    extension_rate_per_min: Dollars
    margin_percent: Annotated[Decimal, Field(ge=0, le=1000, decimal_places=2)]
    """Added to all of it."""
    min_balance_usd: Dollars
    """Who has less begins no call."""
    signup_bonus_usd: Dollars
    rounding_seconds: Annotated[int, Field(ge=1, le=3600)]
    """A call is charged in whole steps of this many seconds."""


@lru_cache(maxsize=4)
def load(path: Path | None = None) -> Rates:
    """The rates that came with us, changed by those of a file. Raises `SettingsError` with a sentence."""
    ours = _read(files("api.wallet").joinpath("rates.json").read_text("utf-8"))
    if path is None:
        return Rates.model_validate(ours)
    try:
        return Rates.model_validate({**ours, **_read(path.read_text("utf-8"))})
    except OSError as error:
        raise SettingsError(f"CALL2ME_RATES cannot be read: {error.strerror}.") from error
    except (ValueError, ValidationError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else None
        where = ".".join(map(str, first["loc"])) + ": " + first["msg"] if first else "it is not a JSON object"
        raise SettingsError(f"CALL2ME_RATES cannot be used: {where}.") from error


def _read(raw: str) -> dict[str, Any]:
    found = json.loads(raw, parse_float=Decimal)
    if not isinstance(found, dict):
        raise ValueError("not an object")
    return found
