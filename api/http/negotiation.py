"""Telling clients apart where one path means two things, everywhere by the same rule.

1. An explicit `Accept` decides (`*/*` and an absent one are not explicit).
2. Else a JSON content type, which the official SDKs send on every request, means JSON.
3. Else what the API's reference says.
"""

from dataclasses import dataclass

from aiohttp import web

JSON = "application/json"


@dataclass(frozen=True)
class _Range:
    type: str
    subtype: str
    quality: float

    @property
    def is_explicit(self) -> bool:
        return self.type != "*"

    def allows(self, offer: str) -> bool:
        kind, _, subtype = offer.partition("/")
        return self.type in {"*", kind} and self.subtype in {"*", subtype}

    @property
    def exactness(self) -> int:
        return (self.type != "*") + (self.subtype != "*")


def preferred(request: web.Request, offers: tuple[str, ...], otherwise: str) -> str:
    """The media type of `offers` to answer with; `otherwise` is what the reference says.

    An `Accept` that names only other types counts as not explicit: an answer of the wrong type
    helps a client more than none.
    """
    ranges = _ranges(",".join(request.headers.getall("Accept", [])))
    if any(r.is_explicit and r.quality > 0 for r in ranges):
        best = max(offers, key=lambda offer: (*_wanted(offer, ranges), offer == otherwise))
        if _wanted(best, [r for r in ranges if r.is_explicit])[0] > 0:
            return best
    if JSON in offers and request.content_type == JSON and "Content-Type" in request.headers:
        return JSON
    return otherwise


def _wanted(offer: str, ranges: list[_Range]) -> tuple[float, int]:
    """How much an offer is wanted, and how exactly it was named: `a/b, */*` names a/b."""
    matching = [r for r in ranges if r.allows(offer)]
    if not matching:
        return 0.0, 0
    best = max(matching, key=lambda r: r.exactness)
    return best.quality, best.exactness


def _ranges(accept: str) -> list[_Range]:
    found = []
    for part in accept.lower().split(",")[:32]:
        media, *parameters = (piece.strip() for piece in part.split(";"))
        kind, slash, subtype = media.partition("/")
        if slash and kind and subtype:
            found.append(_Range(kind, subtype, _q(parameters)))
    return found


def _q(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return min(1.0, max(0.0, float(value)))
            except ValueError:
                return 0.0
    return 1.0
