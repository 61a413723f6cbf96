"""What strangers write to us, and the newsletter: nobody gets it who did not say so twice."""

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

import jwt
from sqlalchemy import delete, func
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.db.columns import now
from api.durable import engine, letters
from api.http.errors import BadRequest, TooManyRequests
from api.outside.mail import Letter
from api.public.schemas import ContactRequest, SubscribeRequest
from api.public.table import ContactMessageRow, SubscriberRow
from api.settings import Settings
from api.users import service as users

MESSAGES_A_DAY = 300
"""Of everybody together: a flood from many addresses must not fill the disk, nor a mailbox."""
LETTERS_A_DAY = 1000
CONFIRM_DAYS = 7
KEPT_DAYS = 365
Purpose = Literal["confirm", "unsubscribe"]
_ISSUER = "call2me"
_AUDIENCE = "call2me-newsletter"


class TooMuchMail(TooManyRequests):
    """Too much was written today; please write again tomorrow"""


class LinkNoGood(BadRequest):
    """This link is not valid, or too old"""


@dataclass(frozen=True)
class Link:
    """What a link in a letter says."""

    email: str
    purpose: Purpose


async def write_to_us(session: AsyncSession, wanted: ContactRequest, settings: Settings) -> None:
    """Keep a message, and have it sent to whoever runs this installation."""
    day_ago = now() - timedelta(days=1)
    recent = select(func.count()).select_from(ContactMessageRow).where(ContactMessageRow.created_at > day_ago)
    if (await session.exec(recent)).one() >= MESSAGES_A_DAY:
        raise TooMuchMail(headers={"Retry-After": "86400"})
    row = ContactMessageRow(**wanted.model_dump(exclude={"website"}))
    session.add(row)
    await session.flush()
    first = await users.first(session)
    if to := settings.contact_email or (first.email if first else ""):
        subject = _one_line(f"Contact: {wanted.subject}")
        company = f" ({wanted.company})" if wanted.company else ""
        text = f"From: {_one_line(wanted.name + company)} <{wanted.email}>\n\n{wanted.message}\n"
        await letters.write(session, Letter(to, subject, text, row.id))


async def subscribe(session: AsyncSession, wanted: SubscribeRequest, settings: Settings) -> bool:
    """Ask the owner of an address, by letter, whether it was them. True where they said so before."""
    email = wanted.email.lower()
    row = await session.get(SubscriberRow, email, with_for_update=True)
    if row is not None and row.confirmed_at is not None and row.unsubscribed_at is None:
        return True
    if row is None:
        counted = select(func.count()).select_from(SubscriberRow)
        today = counted.where(SubscriberRow.created_at > now() - timedelta(days=1))
        if (await session.exec(today)).one() >= LETTERS_A_DAY:
            raise TooMuchMail(headers={"Retry-After": "86400"})
        session.add(SubscriberRow(email=email, source=wanted.source))
        await session.flush()
    base, key = settings.public_url, settings.secrets.jwt
    text = (
        f"Somebody, probably you, asked for our newsletter at this address.\n\n"
        f"If it was you, open this address within {CONFIRM_DAYS} days:\n"
        f"{base}/v1/newsletter/confirm?token={token_of(key, email, 'confirm')}\n\n"
        f"If not, do nothing. You may also end it at any time:\n"
        f"{base}/v1/unsubscribe?token={token_of(key, email, 'unsubscribe')}\n"
    )
    # One a day at most, however often somebody asks: nobody's mailbox is filled by way of us.
    named = hashlib.sha256(email.encode()).hexdigest()[:24]
    letter_id = f"newsletter-{named}-{now():%Y%m%d}"
    await letters.write(session, Letter(email, "Please confirm your subscription", text, letter_id))
    return False


async def follow(session: AsyncSession, token: str, purpose: Purpose, settings: Settings) -> str:
    """Do what a link in a letter says; the address that it belongs to. Safe to repeat."""
    link = read_token(settings.secrets.jwt, token)
    row = await session.get(SubscriberRow, link.email, with_for_update=True)
    if link.purpose != purpose or row is None:
        raise LinkNoGood
    if purpose == "confirm":
        row.confirmed_at, row.unsubscribed_at = row.confirmed_at or now(), None
    else:
        row.unsubscribed_at = row.unsubscribed_at or now()
    session.add(row)
    return link.email


async def subscribers(session: AsyncSession) -> list[str]:
    """Those who get the newsletter, by address."""
    found = await session.exec(
        select(SubscriberRow.email)
        .where(col(SubscriberRow.confirmed_at).is_not(None), col(SubscriberRow.unsubscribed_at).is_(None))
        .order_by(SubscriberRow.email)
    )
    return list(found.all())


def token_of(key: str, email: str, purpose: Purpose) -> str:
    """The token of a link; one that confirms grows old, one that unsubscribes must not."""
    claims: dict[str, Any] = {"iss": _ISSUER, "aud": _AUDIENCE, "sub": email, "purpose": purpose}
    if purpose == "confirm":
        claims["exp"] = now() + timedelta(days=CONFIRM_DAYS)
    return jwt.encode(claims, key, algorithm="HS256")


def read_token(key: str, token: str) -> Link:
    """What a token says. Raises `LinkNoGood`."""
    try:
        claims = jwt.decode(
            token,
            key,
            algorithms=["HS256"],
            issuer=_ISSUER,
            audience=_AUDIENCE,
            options={"require": ["sub", "purpose"]},
        )
    except (jwt.PyJWTError, ValueError, RecursionError):
        raise LinkNoGood from None
    email, purpose = claims["sub"], claims["purpose"]
    if not isinstance(email, str) or purpose not in {"confirm", "unsubscribe"}:
        raise LinkNoGood
    if purpose == "confirm" and "exp" not in claims:
        raise LinkNoGood
    return Link(email, purpose)


async def sweep() -> None:
    """Forget old messages, and addresses whose owners never said that it was them."""
    async with engine.reach().database.transaction() as session:
        old = now() - timedelta(days=KEPT_DAYS)
        await session.exec(delete(ContactMessageRow).where(col(ContactMessageRow.created_at) < old))
        unheard = now() - timedelta(days=CONFIRM_DAYS)
        await session.exec(
            delete(SubscriberRow).where(
                col(SubscriberRow.confirmed_at).is_(None), col(SubscriberRow.created_at) < unheard
            )
        )


def _one_line(text: str) -> str:
    return " ".join(text.split())
