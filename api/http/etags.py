"""ETags: a name for one state of a thing, so that a change is made only to the state that was seen.

GET ──► ETag: "…" ──► PATCH with If-Match: "…" ──► done, or 412 where somebody changed it meanwhile
"""

import hashlib

from aiohttp import ETag, web
from pydantic import BaseModel

from api.http.errors import BadRequest, PreconditionFailed


class UnreadableTag(BadRequest):
    """If-Match is a list of quoted ETags, or *"""


def tag_of(thing: BaseModel) -> str:
    """The name of a state: of all that its owner sees of it."""
    return hashlib.sha256(thing.model_dump_json(by_alias=True).encode()).hexdigest()[:32]


def header_of(thing: BaseModel) -> dict[str, str]:
    """The header of a reply that shows this thing."""
    return {"ETag": f'"{tag_of(thing)}"'}


def require_match(request: web.Request, thing: BaseModel) -> None:
    """Raise `PreconditionFailed` where the request wants another state changed than this one.

    Strong comparison (RFC 9110, 13.1.1): a weak tag never matches. Without If-Match, anything goes.
    """
    if "If-Match" not in request.headers:
        return
    try:
        wanted = request.if_match
    except ValueError:
        raise UnreadableTag from None
    if not wanted:
        raise UnreadableTag
    if not any(_is_same(tag, thing) for tag in wanted):
        raise PreconditionFailed


def is_known(request: web.Request, thing: BaseModel) -> bool:
    """True where whoever asks has this state already (If-None-Match, weak comparison)."""
    try:
        known = request.if_none_match or ()
    except ValueError:
        return False
    return any(tag.value in {"*", tag_of(thing)} for tag in known)


def _is_same(tag: ETag, thing: BaseModel) -> bool:
    return tag.value == "*" or (not tag.is_weak and tag.value == tag_of(thing))
