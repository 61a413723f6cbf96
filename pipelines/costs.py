"""What the providers of a call cost, part by part. An unknown price is null, never nothing."""

from dataclasses import dataclass
from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field

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


class Used(Protocol):
    """What a call used of its providers."""

    @property
    def llm_input_tokens(self) -> float: ...
    @property
    def llm_output_tokens(self) -> float: ...
    @property
    def tts_characters(self) -> float: ...
    @property
    def stt_seconds(self) -> float: ...


@dataclass(frozen=True)
class UsedInCall:
    """The same, counted while the call runs."""

    llm_input_tokens: float = 0.0
    llm_output_tokens: float = 0.0
    tts_characters: float = 0.0
    stt_seconds: float = 0.0


@dataclass(frozen=True)
class Engines:
    """What really listened, thought and spoke, as `provider/model`."""

    stt: str
    llm: str
    tts: str


def split(usage: Used, engines: Engines, prices: Prices) -> CostSplit:
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
