"""Tokens: short-lived signed ones for requests, opaque ones that are kept only as a hash."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

import jwt

from api.db.columns import now
from api.http.errors import Unauthorized

ACCESS_SECONDS = 3600
REFRESH_DAYS = 30
_ISSUER = "call2me"
_AUDIENCE = "call2me-api"


class InvalidToken(Unauthorized):
    """Invalid or expired token"""


@dataclass(frozen=True)
class AccessClaims:
    """What an access token says."""

    user_id: str
    login_id: str


def sign_access(secret: str, claims: AccessClaims, issued_at: datetime | None = None) -> str:
    """An access token that is good for an hour."""
    issued_at = issued_at or now()
    return jwt.encode(
        {
            "iss": _ISSUER,
            "aud": _AUDIENCE,
            "sub": claims.user_id,
            "sid": claims.login_id,
            "iat": issued_at,
            "exp": issued_at + timedelta(seconds=ACCESS_SECONDS),
        },
        secret,
        algorithm="HS256",
    )


def read_access(secret: str, token: str) -> AccessClaims:
    """What a token says, once its signature, issuer, audience and expiry are right.

    The algorithm is ours to choose, never the token's: `none` and all others are refused.
    """
    try:
        claims = jwt.decode(
            token,
            secret,
            algorithms=["HS256"],
            issuer=_ISSUER,
            audience=_AUDIENCE,
            options={"require": ["exp", "iat", "iss", "aud", "sub", "sid"]},
        )
    except (jwt.PyJWTError, ValueError, RecursionError):
        raise InvalidToken from None
    if not isinstance(claims["sub"], str) or not isinstance(claims["sid"], str):
        raise InvalidToken
    return AccessClaims(user_id=claims["sub"], login_id=claims["sid"])


def new_opaque(prefix: str) -> str:
    """A token of 256 random bits."""
    return f"{prefix}_{secrets.token_urlsafe(32)}"


def hashed(token: str) -> str:
    """What is kept of an opaque token. It has entropy enough: a slow hash would add only cost."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
