"""Signing in and staying signed in.

password / one-time link ──► login ──► access token (an hour), refresh token (once)
                               ▲             │
                               └── refresh ──┘     used twice: the login is revoked
"""

from datetime import datetime, timedelta
from typing import NamedTuple

from aiohttp import web
from sqlalchemy import bindparam, delete, update
from sqlalchemy import select as plain_select
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.auth import links, tokens
from api.auth.schemas import Credentials
from api.auth.table import LoginRow, OneTimeLinkRow, RefreshTokenRow
from api.auth.tokens import ACCESS_SECONDS, REFRESH_DAYS, AccessClaims, InvalidToken, hashed, new_opaque
from api.db.columns import now
from api.db.lookups import Lookup
from api.http.callers import Caller
from api.http.errors import Forbidden, Unauthorized
from api.keys import DATABASE, SETTINGS
from api.users import service as users
from api.users.table import UserRow


class WrongCredentials(Unauthorized):
    """Invalid email or password"""


class SignupClosed(Forbidden):
    """Signing up is closed here; ask the owner of this installation for a login"""


class RefreshTokenReused(Unauthorized):
    """This refresh token was used before; sign in again"""

    keeps_changes = True


class LinkUsed(Unauthorized):
    """This link was used before or is too old; ask for a new one"""


class _OpenLogin(NamedTuple):
    user_id: str
    rate_limit: int


_OPEN_LOGIN = Lookup(
    _OpenLogin,
    plain_select(col(LoginRow.user_id), col(UserRow.rate_limit))
    .join(UserRow, col(UserRow.id) == LoginRow.user_id)
    .where(
        col(LoginRow.id) == bindparam("login_id"),
        col(LoginRow.user_id) == bindparam("user_id"),
        col(LoginRow.revoked_at).is_(None),
        col(UserRow.erased_at).is_(None),
    ),
)


async def open_login(session: AsyncSession, user: UserRow, jwt_secret: str) -> Credentials:
    """Sign a user in on one more device."""
    user.last_login_at = now()
    login = LoginRow(user_id=user.id)
    session.add(user)
    session.add(login)
    await session.flush()
    await _forget_expired(session)
    return await _credentials(session, user, login.id, jwt_secret)


async def refresh(session: AsyncSession, refresh_token: str, jwt_secret: str) -> Credentials:
    """New tokens for an old one, which is used up by it.

    One that was used before means that two hold it, and nobody knows which of them is the user:
    the whole login ends.
    """
    moment = now()
    kept = hashed(refresh_token)
    # One statement decides who uses it, however many ask at once.
    used = await session.exec(
        update(RefreshTokenRow)
        .where(
            col(RefreshTokenRow.hash) == kept,
            col(RefreshTokenRow.used_at).is_(None),
            col(RefreshTokenRow.expires_at) > moment,
        )
        .values(used_at=moment)
        .returning(col(RefreshTokenRow.login_id))
    )
    if (login_id := used.scalar_one_or_none()) is None:
        await _end_if_reused(session, kept)
        raise InvalidToken
    found = await session.exec(
        select(UserRow)
        .join(LoginRow, col(LoginRow.user_id) == UserRow.id)
        .where(LoginRow.id == login_id, col(LoginRow.revoked_at).is_(None), col(UserRow.erased_at).is_(None))
    )
    if (user := found.one_or_none()) is None:
        raise InvalidToken
    return await _credentials(session, user, login_id, jwt_secret)


async def log_out(session: AsyncSession, caller: Caller, refresh_token: str | None) -> None:
    """End the login that these credentials came from, and that of the refresh token if it is theirs."""
    ends = [caller.login_id] if caller.login_id else []
    if refresh_token is not None:
        found = await session.exec(
            select(RefreshTokenRow.login_id)
            .join(LoginRow, col(LoginRow.id) == RefreshTokenRow.login_id)
            .where(RefreshTokenRow.hash == hashed(refresh_token), LoginRow.user_id == caller.user_id)
        )
        ends.extend(found.all())
    await _revoke(session, ends)


async def use_link(session: AsyncSession, token: str, jwt_secret: str) -> Credentials:
    """Sign in with the token of a one-time link."""
    user = await links.use(session, token, "sign_in")
    if user is None:
        raise LinkUsed
    return await open_login(session, user, jwt_secret)


async def end_logins(session: AsyncSession, user_id: str, *, but: str = "") -> None:
    """Every login of a user ends, with all of its tokens; `but` one that goes on."""
    await session.exec(
        update(LoginRow)
        .where(col(LoginRow.user_id) == user_id, col(LoginRow.id) != but, col(LoginRow.revoked_at).is_(None))
        .values(revoked_at=now())
    )


async def authenticate(request: web.Request, token: str) -> Caller:
    """Who carries this access token. A login that has ended takes its tokens along at once."""
    claims = tokens.read_access(request.app[SETTINGS].secrets.jwt, token)
    found = await request.app[DATABASE].ask(_OPEN_LOGIN, login_id=claims.login_id, user_id=claims.user_id)
    if not found:
        raise InvalidToken
    user_id, rate_limit = found[0]
    return Caller(
        owner_id=user_id,
        user_id=user_id,
        kind="user",
        login_id=claims.login_id,
        user_rate_limit=rate_limit,
    )


async def _credentials(session: AsyncSession, user: UserRow, login_id: str, jwt_secret: str) -> Credentials:
    refresh_token = new_opaque("refresh")
    session.add(
        RefreshTokenRow(
            hash=hashed(refresh_token), login_id=login_id, expires_at=now() + timedelta(days=REFRESH_DAYS)
        )
    )
    await session.flush()
    return Credentials(
        access_token=tokens.sign_access(jwt_secret, AccessClaims(user.id, login_id)),
        refresh_token=refresh_token,
        expires_in=ACCESS_SECONDS,
        user=await users.profile(session, user),
    )


async def _end_if_reused(session: AsyncSession, kept: str) -> None:
    found = await session.exec(
        select(RefreshTokenRow.login_id).where(
            RefreshTokenRow.hash == kept, col(RefreshTokenRow.used_at).is_not(None)
        )
    )
    if (login_id := found.one_or_none()) is not None:
        await _revoke(session, [login_id])
        raise RefreshTokenReused


async def _revoke(session: AsyncSession, login_ids: list[str]) -> None:
    if login_ids:
        await session.exec(
            update(LoginRow)
            .where(col(LoginRow.id).in_(login_ids), col(LoginRow.revoked_at).is_(None))
            .values(revoked_at=now())
        )


async def _forget_expired(session: AsyncSession) -> None:
    """What is past its time is of no use, not even to notice a thief."""
    moment: datetime = now()
    await session.exec(delete(RefreshTokenRow).where(col(RefreshTokenRow.expires_at) < moment))
    await session.exec(delete(OneTimeLinkRow).where(col(OneTimeLinkRow.expires_at) < moment))
