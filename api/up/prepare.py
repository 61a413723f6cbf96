"""What the command line does in the database itself: migrations, the first start, users, sign-in links."""

import asyncio
import json
import secrets
from collections.abc import Awaitable, Callable
from typing import TypeVar

from pydantic import ValidationError
from sqlalchemy.exc import DBAPIError
from sqlmodel.ext.asyncio.session import AsyncSession

from api.api_keys import service as api_keys
from api.api_keys.schemas import ApiKeyCreate
from api.audit import service as audit
from api.auth import links
from api.auth.passwords import Passwords
from api.auth.schemas import SignUp
from api.db import migrate as migrations
from api.db.engine import Database
from api.db.vault import Vault
from api.public import letters
from api.seed import seed
from api.settings import Settings
from api.up.database import told
from api.up.errors import CannotStart
from api.up.first_start import Owner, Prepared
from api.up.revision import require_newest
from api.up.status import sign_in_address
from api.users import service as users
from api.users.service import EmailTaken

Result = TypeVar("Result")

OWNER_EMAIL = "owner@localhost.localdomain"


def migrate(settings: Settings) -> str:
    """Run the missing migrations; the revision that the database is at now. Raises `CannotStart`."""

    async def run() -> str:
        await migrations.upgrade(settings.database_url)
        await require_newest(settings)
        return await migrations.current(settings.database_url)

    with told():
        return asyncio.run(run())


def prepare(settings: Settings) -> Prepared:
    """Migrations, on the first start the owner and what is seeded, and always a sign-in link."""

    async def run(session: AsyncSession) -> Prepared:
        owner = None
        user = await users.first(session)
        if user is None:
            password = secrets.token_urlsafe(12)
            user = await users.create(
                session, email=OWNER_EMAIL, password_hash=await _hashed(password), full_name="Owner"
            )
            _row, key = await api_keys.create(
                session, user.id, ApiKeyCreate(name="First key", permissions=[])
            )
            await seed(session, user.id, settings.home)
            owner = Owner(email=user.email, password=password, api_key=key)
        return Prepared(link=await links.mint(session, user), owner=owner)

    migrate(settings)
    return _in_transaction(settings, run)


def add_user(settings: Settings, email: str, name: str | None, password: str | None) -> str | None:
    """Add a user; the password when it was generated here. Raises `CannotStart` when the address is taken."""
    generated = None if password else secrets.token_urlsafe(12)
    try:
        wanted = SignUp(email=email, password=password or generated or "", full_name=name)
    except ValidationError as error:
        first = error.errors()[0]
        raise CannotStart(
            f"{first['loc'][0]}: {first['msg'].removeprefix('Value error, ').rstrip('.')}."
        ) from None

    async def run(session: AsyncSession) -> None:
        try:
            await users.create(
                session,
                email=wanted.email,
                password_hash=await _hashed(wanted.password),
                full_name=wanted.full_name,
            )
        except EmailTaken:
            raise CannotStart(f"{email} is already registered.") from None

    _in_transaction(settings, run)
    return generated


def link(settings: Settings, email: str | None) -> str:
    """The address that signs a user in once; the owner when nobody is named."""

    async def run(session: AsyncSession) -> str:
        user = await (users.find(session, email) if email else users.first(session))
        if user is None:
            raise CannotStart(
                f"There is no user {email}." if email else "There is no user yet; `call2me up` makes one."
            )
        return await links.mint(session, user)

    return sign_in_address(settings, _in_transaction(settings, run))


def subscribers(settings: Settings) -> list[str]:
    """Who gets the newsletter, by address."""
    return _in_transaction(settings, letters.subscribers)


def limit(settings: Settings, email: str, requests_a_minute: int) -> None:
    """How many requests a minute a user has; 0: as many as everybody."""

    async def run(session: AsyncSession) -> None:
        user = await users.find(session, email)
        if user is None:
            raise CannotStart(f"There is no user {email}.")
        user.rate_limit = requests_a_minute
        session.add(user)
        audit.note_operator(session, user.id, "limit_user", {"requests_a_minute": requests_a_minute})

    _in_transaction(settings, run)


def openapi() -> str:
    """The OpenAPI document, which depends on no setting and no database."""
    from api.app import RESOURCES  # noqa: PLC0415 - the whole api
    from api.system.routes import spec  # noqa: PLC0415

    return json.dumps(spec(RESOURCES), indent=2)


def in_database(settings: Settings, work: Callable[[Database], Awaitable[Result]]) -> Result:
    """Do something in the database, which must be at the newest revision. Raises `CannotStart`."""

    async def run() -> Result:
        await require_newest(settings)
        database = Database(settings.database_url, Vault.of(settings))
        try:
            return await work(database)
        except DBAPIError as error:
            raise CannotStart(f"The database cannot be used now ({error.orig}).") from error
        finally:
            await database.close()

    return asyncio.run(run())


def _in_transaction(settings: Settings, work: Callable[[AsyncSession], Awaitable[Result]]) -> Result:
    async def run(database: Database) -> Result:
        async with database.transaction() as session:
            return await work(session)

    return in_database(settings, run)


async def _hashed(password: str) -> str:
    passwords = Passwords()
    try:
        return await passwords.hash(password)
    finally:
        passwords.close()
