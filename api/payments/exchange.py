"""/v1/exchange-rate: what a dollar is elsewhere, to be shown beside a price. Nobody is charged by it."""

import json
import logging
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import Field, TypeAdapter, ValidationError

from api.db.columns import now
from api.http.errors import NotFound, Unavailable
from api.http.routes import Routes
from api.http.wire import Wire
from api.keys import SETTINGS

_LOG = logging.getLogger(__name__)
routes = Routes("/v1/exchange-rate", tag="Public", access="public")

Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
_RATES: TypeAdapter[Any] = TypeAdapter(dict[Currency, Annotated[Decimal, Field(gt=0, le=10**9)]])


class NoRates(Unavailable):
    """No exchange rates are set up here; prices are in US dollars"""


class NoSuchRate(NotFound):
    """There is no exchange rate for this currency here"""


class RateQuery(Wire):
    """Into which currency."""

    target: Currency = "TRY"


class ExchangeRate(Wire):
    """How much of a currency a dollar is."""

    base: Literal["USD"] = "USD"
    target: str
    rate: float
    fetched_at: datetime
    """When the operator's file was written."""
    source: Literal["operator", "same currency"]
    visitor_country: None = None
    show_local_currency: bool = False


@routes.get(errors=[NoRates, NoSuchRate])
async def get_exchange_rate(request: web.Request, query: RateQuery) -> ExchangeRate:
    """Get how much of a currency a dollar is, by the operator's file of rates."""
    if query.target == "USD":
        return ExchangeRate(target="USD", rate=1, fetched_at=now(), source="same currency")
    path = request.app[SETTINGS].payments.exchange_rates
    if path is None:
        raise NoRates
    try:
        written_at = path.stat().st_mtime
        rates = _rates(path, written_at)
    except (OSError, ValueError, ValidationError) as error:
        _LOG.warning("exchange rates cannot be read", extra={"error": type(error).__name__})
        raise NoRates from error
    if query.target not in rates:
        raise NoSuchRate
    return ExchangeRate(
        target=query.target,
        rate=float(rates[query.target]),
        fetched_at=datetime.fromtimestamp(written_at, UTC),
        source="operator",
        show_local_currency=True,
    )


@lru_cache(maxsize=4)
def _rates(path: Path, _written_at: float) -> dict[str, Decimal]:
    """The file as it is now; read again when it changes."""
    found: dict[str, Decimal] = _RATES.validate_python(
        json.loads(path.read_text("utf-8"), parse_float=Decimal)
    )
    return found
