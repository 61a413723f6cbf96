"""What a request sent, put beside what a service says is wrong with it."""

import json
from typing import Any

from aiohttp import web

from api.http.errors import Invalid, echoed


async def fill(request: web.Request, invalid: Invalid, *, has_json: bool) -> None:
    """Put what was sent into each part that names a place in the request and no input.

    A service raises where it sees what is wrong, which is often far from what was sent. `has_json` says
    that the body was read as JSON: another is not read here.
    """
    sent: dict[str, Any] = {"query": request.query}
    for part in invalid.errors:
        place, *names = part["loc"]
        if part["input"] is not None or not names or part["type"] == "missing":
            continue
        if place == "body" and has_json and "body" not in sent:
            sent["body"] = json.loads(await request.read() or b"{}")
        part["input"] = echoed(_at(sent.get(place), names))


def _at(value: Any, names: list[str | int]) -> Any:
    """What stands there; None where the names lead nowhere: some of them name a kind, and no field."""
    for name in names:
        try:
            value = value[name]
        except (KeyError, IndexError, TypeError):
            return None
    return value
