"""Who Google says somebody is: an ID token, checked against the keys that Google publishes."""

import asyncio
import json
import time
from dataclasses import dataclass
from typing import Any

import jwt

from api.settings import Google
from pipelines.outbound import Guard, NoAnswer

ISSUERS = ("https://accounts.google.com", "accounts.google.com")
KEYS_SECONDS = 3600.0
"""So long keys are believed; one that is not among them is looked for anew."""
ASK_AGAIN_SECONDS = 30.0
"""Tokens with made-up keys make us ask no more often than this."""
FETCH_SECONDS = 5.0
MAX_BYTES = 64 * 1024
LEEWAY_SECONDS = 10


class NotFromGoogle(Exception):
    """This is no token that Google made for us"""


class GoogleSilent(Exception):
    """Google's keys cannot be had now"""


@dataclass(frozen=True)
class GooglePerson:
    """What a token says of somebody."""

    subject: str
    email: str
    is_verified: bool
    full_name: str | None


class GoogleTokens:
    """Reads ID tokens; knows Google's keys for an hour."""

    def __init__(self, settings: Google, guard: Guard) -> None:
        self._settings = settings
        self._guard = guard
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched_at = self._asked_at = float("-inf")
        self._turn = asyncio.Lock()

    @property
    def is_on(self) -> bool:
        """True where somebody configured it."""
        return bool(self._settings.client_ids)

    async def read(self, token: str) -> GooglePerson:
        """Who this is. Raises `NotFromGoogle`, or `GoogleSilent` where that cannot be found out now."""
        try:
            key_id = jwt.get_unverified_header(token).get("kid")
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise NotFromGoogle from None
        if not isinstance(key_id, str) or (key := await self._key(key_id)) is None:
            raise NotFromGoogle
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=["RS256"],  # ours to choose, never the token's
                audience=list(self._settings.client_ids),
                issuer=list(ISSUERS),
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "iat", "iss", "aud", "sub"]},
            )
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            raise NotFromGoogle from None
        subject, email, name = claims["sub"], claims.get("email"), claims.get("name")
        if not isinstance(subject, str) or not 0 < len(subject) <= 255 or not isinstance(email, str):
            raise NotFromGoogle
        return GooglePerson(
            subject=subject,
            email=email,
            is_verified=claims.get("email_verified") in (True, "true"),
            full_name=name[:255] if isinstance(name, str) and name else None,
        )

    async def _key(self, key_id: str) -> jwt.PyJWK | None:
        async with self._turn:  # of many who come at once, one asks
            now = time.monotonic()
            is_old = now - self._fetched_at > KEYS_SECONDS
            if (is_old or key_id not in self._keys) and now - self._asked_at > ASK_AGAIN_SECONDS:
                self._asked_at = now
                self._keys = await self._fetched()
                self._fetched_at = now
            elif is_old:
                raise GoogleSilent
            return self._keys.get(key_id)

    async def _fetched(self) -> dict[str, jwt.PyJWK]:
        try:
            answer = await self._guard.fetch(
                "GET", self._settings.keys_url, timeout_seconds=FETCH_SECONDS, max_bytes=MAX_BYTES
            )
            if answer.status != 200 or answer.is_cut:
                raise GoogleSilent
            keys = jwt.PyJWKSet.from_dict(json.loads(answer.body)).keys
        except (NoAnswer, ValueError, AttributeError, TypeError, jwt.PyJWTError) as error:
            raise GoogleSilent from error
        return {key.key_id: key for key in keys if key.key_id and key.key_type == "RSA"}
