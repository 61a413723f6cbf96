"""What Telnyx's answers look like, as far as several of them look alike."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

Answer = tuple[int, Any]
Query = dict[str, str]


@dataclass
class Stock:
    """A number on sale."""

    number: str
    country: str = "US"
    kind: str = "local"
    locality: str = "Chicago"
    monthly: str = "1.00000"
    upfront: str = "1.00000"
    currency: str = "USD"
    features: tuple[str, ...] = ("sms", "voice")
    needs_documents: bool = False
    outcome: str = "success"
    """What its order comes to."""


def offer(one: Stock) -> dict[str, Any]:
    """A number on sale, as a search tells it."""
    return {
        "record_type": "available_phone_number",
        "phone_number": one.number,
        "best_effort": False,
        "quickship": True,
        "reservable": True,
        "vanity_format": "",
        "cost_information": {
            "currency": one.currency,
            "monthly_cost": one.monthly,
            "upfront_cost": one.upfront,
        },
        "features": [{"name": name} for name in one.features],
        "region_information": [
            {"region_type": "country_code", "region_name": one.country},
            {"region_type": "location", "region_name": one.locality},
        ],
    }


def part(order: dict[str, Any]) -> dict[str, Any]:
    """The part of an order that can be cancelled."""
    return {
        "id": order["sub_number_orders_ids"][0],
        "record_type": "sub_number_order",
        "order_request_id": order["id"],
        "status": order["status"],
        "phone_numbers_count": 1,
    }


def page(things: Iterator[dict[str, Any]]) -> Answer:
    """A list, all on one page."""
    listed = list(things)
    meta = {"page_number": 1, "page_size": 20, "total_pages": 1, "total_results": len(listed)}
    return 200, {"data": listed, "meta": meta}


def error(code: str, title: str, detail: str = "") -> dict[str, Any]:
    """What went wrong."""
    return {"code": code, "title": title, "detail": detail or title, "meta": {"url": "https://telnyx.com"}}


def new_id() -> str:
    """A name."""
    return str(uuid.uuid4())


def iso() -> str:
    """Now."""
    return datetime.now(UTC).isoformat()
