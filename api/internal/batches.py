"""A worker's batch, read so that every event that can be kept is, and none is sent for ever.

A worker tries again whatever is answered with a 5xx, and narrows a 4xx down to the event that it is
about. So what no database keeps is taken out where the event still says the same without it (NUL, half
a character, a number that is none), and is a 422 where it does not (a moment without a place).
"""

import json
from collections.abc import Iterator
from datetime import datetime
from math import isfinite
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from api.http.errors import Invalid
from pipelines.contract.events import CallEvent, EventBatch

_KINDS = {event.model_fields["kind"].default for event in get_args(get_args(CallEvent)[0])}
_MAX_SEQUENCE = 2**63 - 1
_MAX_ATTEMPT = 2**31 - 1


def read_batch(raw: bytes) -> EventBatch:
    """The body as a batch; kinds of a newer worker's are passed over. Raises `Invalid`."""
    try:
        body: Any = _keepable(json.loads(raw, parse_constant=lambda _: None))
    except (ValueError, RecursionError):
        raise Invalid.at("body", msg="Invalid JSON", type="json_invalid") from None
    if isinstance(body, dict) and isinstance(events := body.get("events"), list):
        body["events"] = [event for event in events if not _is_news(event)]
    try:
        batch = EventBatch.model_validate_json(json.dumps(body))
    except ValidationError as error:
        raise Invalid.of(error, "body") from None
    for number, event in enumerate(batch.events):
        if why := _why_not_kept(event):
            raise Invalid.at("body", "events", number, msg=why)
    return batch


def _keepable(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\x00", "").encode("utf-8", "replace").decode()
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, list):
        return [_keepable(inner) for inner in value]
    if isinstance(value, dict):
        return {_keepable(name): _keepable(inner) for name, inner in value.items()}
    return value


def _why_not_kept(event: CallEvent) -> str:
    if not 0 <= event.sequence <= _MAX_SEQUENCE:
        return "sequence is out of range"
    if not 1 <= event.attempt <= _MAX_ATTEMPT:
        return "attempt is out of range"
    # A year of room on both sides: in another time zone it may be another year.
    if any(not 1 < moment.year < 9999 for moment in _moments(event)):
        return "a moment needs a year that clocks know"
    return ""


def _moments(model: BaseModel) -> Iterator[datetime]:
    for _, value in model:
        if isinstance(value, datetime):
            yield value
        elif isinstance(value, BaseModel):
            yield from _moments(value)


def _is_news(event: Any) -> bool:
    """True for an event of a kind that we do not know."""
    kind = event.get("kind") if isinstance(event, dict) else None
    return isinstance(kind, str) and kind not in _KINDS
