"""Offers and answers (RFC 3264) for one stream of speech, written and read; everything else is refused."""

from worker.exchange.sdp.ours import Ours
from worker.exchange.sdp.reading import (
    BadSdp,
    Described,
    Direction,
    ForbiddenAddress,
    NoCodec,
    check_address,
    read,
)

__all__ = ["BadSdp", "Described", "Direction", "ForbiddenAddress", "NoCodec", "Ours", "check_address", "read"]
