"""Passwords that are forgotten or changed, and addresses that are proven, by letters."""

from datetime import timedelta

from sqlmodel.ext.asyncio.session import AsyncSession

from api.auth import links, service
from api.auth.passwords import Passwords
from api.db.columns import new_id, now
from api.db.engine import Database
from api.durable import letters
from api.http.callers import Caller
from api.http.errors import BadRequest
from api.outside.mail import Letter
from api.users import service as users
from api.users.table import UserRow

RESET_LIFETIME = timedelta(hours=1)
VERIFY_LIFETIME = timedelta(hours=24)


class TokenInvalid(BadRequest):
    """This token was used before or is too old; ask for a new one"""


class WrongPassword(BadRequest):
    """The current password is not right"""


async def ask_to_reset(session: AsyncSession, email: str, base: str) -> None:
    """Write to whoever has this address how to choose a new password; nothing where nobody has it."""
    user = await users.find(session, email)
    if user is None or user.erased_at is not None:
        return
    token = await links.mint(session, user, RESET_LIFETIME, "reset")
    await _write(
        session,
        user,
        "Choose a new password",
        f"Somebody, you we hope, wants a new password for {user.email}.\n\n"
        f"Choose it here, within the hour: {base}/#reset={token}\n\n"
        f"Token for the API (POST /v1/auth/reset-password): {token}\n\n"
        "If it was not you, do nothing: your password stays as it is.",
    )


async def reset(session: AsyncSession, token: str, password_hash: str) -> UserRow:
    """A new password for whoever holds the token. Every login ends: whoever had the old password is out."""
    user = await links.use(session, token, "reset")
    if user is None:
        raise TokenInvalid
    user.email_verified_at = user.email_verified_at or now()  # the letter came to this address
    await _replace(session, user, password_hash, but="")
    return user


async def change(
    database: Database, session: AsyncSession, caller: Caller, passwords: Passwords, current: str, new: str
) -> None:
    """A new password for who knows the current one. Every other login ends."""
    # The slow checks happen before the writing transaction begins.
    async with database.session(writes=False) as reading:
        kept = (await users.get(reading, caller)).password_hash
    if not await passwords.matches(kept, current):
        raise WrongPassword
    password_hash = await passwords.hash(new)
    user = await users.get(session, caller)
    if user.password_hash != kept:
        raise WrongPassword  # somebody else changed it meanwhile
    await _replace(session, user, password_hash, but=caller.login_id)


async def ask_to_verify(session: AsyncSession, user: UserRow, base: str) -> None:
    """Write to a user how to prove that the address is theirs."""
    token = await links.mint(session, user, VERIFY_LIFETIME, "verify")
    await _write(
        session,
        user,
        "Confirm your address",
        f"{user.email} was used to sign up.\n\n"
        f"Confirm that it is yours, within a day: {base}/#verify={token}\n\n"
        f"Token for the API (POST /v1/auth/verify-email): {token}\n\n"
        "If it was not you, do nothing.",
    )


async def ask_again_to_verify(session: AsyncSession, email: str, base: str) -> None:
    """The same for whoever has this address, where it is not proven yet."""
    user = await users.find(session, email)
    if user is not None and user.erased_at is None and user.email_verified_at is None:
        await ask_to_verify(session, user, base)


async def verify(session: AsyncSession, token: str) -> UserRow:
    """The address of whoever holds the token is theirs."""
    user = await links.use(session, token, "verify")
    if user is None:
        raise TokenInvalid
    user.email_verified_at = user.email_verified_at or now()
    session.add(user)
    return user


async def _replace(session: AsyncSession, user: UserRow, password_hash: str, *, but: str) -> None:
    user.password_hash = password_hash
    session.add(user)
    await session.flush()
    await service.end_logins(session, user.id, but=but)
    await links.void(session, user.id, "reset")
    await links.void(session, user.id, "sign_in")
    await _write(
        session,
        user,
        "Your password was changed",
        f"The password of {user.email} was changed just now, and other devices were signed out.\n\n"
        "If it was not you, ask for a new one at once: somebody reads your letters or knew your password.",
    )


async def _write(session: AsyncSession, user: UserRow, subject: str, text: str) -> None:
    await letters.write(
        session, Letter(to=user.email, subject=subject, text=text, letter_id=new_id("letter", 24))
    )
