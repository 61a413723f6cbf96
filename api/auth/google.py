"""Signing in with Google: somebody known, somebody whose proven address is known, or somebody new."""

from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.auth.schemas import address
from api.auth.service import SignupClosed
from api.db.columns import now
from api.http.errors import Conflict, Forbidden, Unauthorized, Unavailable
from api.outside.google import GooglePerson
from api.users import service as users
from api.users.table import UserRow


class GoogleOff(Forbidden):
    """Signing in with Google is not set up here"""


class GoogleRefused(Unauthorized):
    """Google did not sign this token for us, or it is too old"""


class GoogleAway(Unavailable):
    """Google's keys cannot be had now; try again in a moment"""


class AddressUnproven(Conflict):
    """This email is already registered and was never confirmed; confirm it, then sign in with Google"""


async def known_or_new(session: AsyncSession, person: GooglePerson, *, is_open: bool) -> tuple[UserRow, bool]:
    """The user, and whether they are new. Raises `SignupClosed` where nobody new may come.

    Somebody may have signed up with another's address and wait for them: an account whose address nobody
    proved is never joined to what Google says.
    """
    found = await session.exec(select(UserRow).where(UserRow.google_subject == person.subject))
    if (user := found.one_or_none()) is not None:
        if user.erased_at is not None:
            raise GoogleRefused
        return user, False
    if not person.is_verified:
        raise GoogleRefused
    try:
        email = address(person.email)
    except ValueError:
        raise GoogleRefused from None
    user = await users.find(session, email)
    if user is not None:
        if user.erased_at is not None:
            raise GoogleRefused
        if user.email_verified_at is None or user.google_subject is not None:
            raise AddressUnproven
        user.google_subject = person.subject
        session.add(user)
        return user, False
    if not is_open:
        raise SignupClosed
    user = await users.create(session, email=email, password_hash=None, full_name=person.full_name)
    user.google_subject, user.email_verified_at = person.subject, now()
    session.add(user)
    await session.flush()
    return user, True
