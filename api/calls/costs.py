"""What the providers of a call cost, part by part. An unknown price is null, never nothing."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from api.calls.table import CallUsageRow
from pipelines.environment import SettingsError

Dollars = Field(default=None, ge=0, le=10_000)


class ModelPrice(BaseModel):
    """What one model costs, in US dollars."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    llm_input_per_million: float | None = Dollars
    llm_output_per_million: float | None = Dollars
    stt_per_minute: float | None = Dollars
    tts_per_million_characters: float | None = Dollars


class Prices(BaseModel):
    """Prices by `provider/model`; engines whose provider or name is in `free` run on this machine."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    as_of: str
    models: dict[str, ModelPrice]
    free: tuple[str, ...] = ()


class CostSplit(BaseModel):
    """Where a call's money went, in US dollars. A part without a known price is null and so is the total."""

    stt_usd: float | None
    llm_usd: float | None
    tts_usd: float | None
    total_usd: float | None
    prices_as_of: str


@dataclass(frozen=True)
class Engines:
    """What really listened, thought and spoke, as `provider/model`."""

    stt: str
    llm: str
    tts: str


def split(usage: CallUsageRow, engines: Engines, prices: Prices) -> CostSplit:
    """The call's cost, rounded to a millionth of a dollar."""
    llm = _sum(
        _part(prices, engines.llm, "llm_input_per_million", usage.llm_input_tokens / 1e6),
        _part(prices, engines.llm, "llm_output_per_million", usage.llm_output_tokens / 1e6),
    )
    stt = _part(prices, engines.stt, "stt_per_minute", usage.stt_seconds / 60)
    tts = _part(prices, engines.tts, "tts_per_million_characters", usage.tts_characters / 1e6)
    return CostSplit(
        stt_usd=_rounded(stt),
        llm_usd=_rounded(llm),
        tts_usd=_rounded(tts),
        total_usd=_rounded(_sum(stt, llm, tts)),
        prices_as_of=prices.as_of,
    )


def _part(prices: Prices, engine: str, unit: str, amount: float) -> float | None:
    provider, _, model = engine.partition("/")
    if amount == 0 or provider in prices.free or model in prices.free:
        return 0.0
    # The longest name wins: a dated model ("gpt-4o-mini-2024-07-18") costs what its family costs.
    known = [name for name in prices.models if engine == name or engine.startswith(f"{name}-")]
    price = getattr(prices.models[max(known, key=len)], unit) if known else None
    return None if price is None else price * amount


def _sum(*parts: float | None) -> float | None:
    known = [part for part in parts if part is not None]
    return sum(known) if len(known) == len(parts) else None


def _rounded(amount: float | None) -> float | None:
    return None if amount is None else round(amount, 6)


@lru_cache(maxsize=4)
def load(path: Path | None = None) -> Prices:
    """The prices that came with us, or those of a file. Raises `SettingsError` with a sentence."""
    try:
        raw: Mapping[str, Any] = json.loads(
            (path or files("api.calls").joinpath("prices.json")).read_text("utf-8")
        )
        return Prices.model_validate(raw)
    except OSError as error:
        raise SettingsError(f"CALL2ME_PRICES cannot be read: {error.strerror}.") from error
    except (ValueError, ValidationError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else None
        where = ".".join(map(str, first["loc"])) + ": " + first["msg"] if first else "it is not JSON"
        raise SettingsError(f"CALL2ME_PRICES cannot be used: {where}.") from error
