"""/v1/auth"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from api.audit import service as audit
from api.auth import google, recovery, service
from api.auth.google import AddressUnproven, GoogleAway, GoogleOff, GoogleRefused
from api.auth.links import is_good
from api.auth.passwords import TooManyLogins
from api.auth.recovery import TokenInvalid, WrongPassword
from api.auth.schemas import (
    Credentials,
    EmailOnly,
    GoogleLogin,
    LoggedOut,
    LogIn,
    LogOut,
    OneTimeToken,
    PasswordChange,
    PasswordReset,
    Refresh,
    Said,
    SignUp,
    Verified,
)
from api.auth.service import LinkUsed, RefreshTokenReused, SignupClosed, WrongCredentials
from api.auth.tokens import InvalidToken
from api.http.callers import address
from api.http.rate_limits import ACCOUNT_LIMIT, LETTER_LIMIT, TAKEN_LIMIT, WRONG_LIMIT, network_of
from api.http.routes import Routes
from api.http.transactions import let_go
from api.keys import CALLER, DATABASE, GOOGLE, PASSWORDS, RATE_LIMITS, SESSION, SETTINGS
from api.outside.google import GoogleSilent, NotFromGoogle
from api.users import service as users
from api.users.service import EmailTaken
from api.wallet import credit

routes = Routes("/v1/auth", tag="Authentication")

ANSWER_SECONDS = 0.25
"""Whoever asks for a letter waits so long, whether there is somebody to write to or not."""


@asynccontextmanager
async def _as_long_for_everybody(request: web.Request, email: str) -> AsyncIterator[None]:
    """Neither the answer nor its time says who is registered here."""
    await request.app[RATE_LIMITS].take(LETTER_LIMIT, email.lower())
    clock = asyncio.get_running_loop().time
    ends_at = clock() + ANSWER_SECONDS
    yield
    await let_go(request)
    await asyncio.sleep(max(0.0, ends_at - clock()))


@routes.post(
    "/signup",
    older=["/register"],
    public=True,
    errors=[SignupClosed, EmailTaken, TooManyLogins],
)
async def register(request: web.Request, body: SignUp) -> Credentials:
    """Make a user, and sign in."""
    settings = request.app[SETTINGS]
    if settings.signup == "closed":
        raise SignupClosed
    limits, asking = request.app[RATE_LIMITS], network_of(address(request))
    await limits.look(TAKEN_LIMIT, asking)
    password_hash = await request.app[PASSWORDS].hash(body.password)
    session = request[SESSION]
    try:
        user = await users.create(
            session, email=body.email, password_hash=password_hash, full_name=body.full_name
        )
    except EmailTaken:
        await limits.take(TAKEN_LIMIT, asking)
        raise
    await credit.welcome(session, user.id, settings)
    await recovery.ask_to_verify(session, user, settings.public_url)
    audit.note(request, user.id, "register")
    return await service.open_login(session, user, settings.secrets.jwt)


@routes.post("/login", public=True, errors=[WrongCredentials, TooManyLogins])
async def log_in(request: web.Request, body: LogIn) -> Credentials:
    """Sign in with a password."""
    limits, account = request.app[RATE_LIMITS], body.email.lower()
    await limits.take(ACCOUNT_LIMIT, account)
    await limits.look(WRONG_LIMIT, account)
    # The slow check happens before the writing transaction begins.
    async with request.app[DATABASE].session(writes=False) as reading:
        user = await users.find(reading, body.email)
    if not await request.app[PASSWORDS].matches(user.password_hash if user else None, body.password):
        await limits.take(WRONG_LIMIT, account)
        raise WrongCredentials
    session = request[SESSION]
    if user is None or (user := await users.find(session, body.email)) is None or user.erased_at is not None:
        raise WrongCredentials
    audit.note(request, user.id, "log_in")
    return await service.open_login(session, user, request.app[SETTINGS].secrets.jwt)


@routes.post("/refresh", public=True, errors=[InvalidToken, RefreshTokenReused])
async def refresh_tokens(request: web.Request, body: Refresh) -> Credentials:
    """Exchange a refresh token for new tokens; each is good once."""
    return await service.refresh(request[SESSION], body.refresh_token, request.app[SETTINGS].secrets.jwt)


@routes.post("/logout")
async def log_out(request: web.Request, body: LogOut | None) -> LoggedOut:
    """End this login; its access and refresh tokens are refused from now on."""
    await service.log_out(request[SESSION], request[CALLER], body.refresh_token if body else None)
    return LoggedOut()


@routes.post("/quick-login/verify", public=True, errors=[LinkUsed])
async def verify_quick_login(request: web.Request, body: OneTimeToken) -> Credentials:
    """Sign in with the token of a one-time link."""
    signed_in = await service.use_link(request[SESSION], body.token, request.app[SETTINGS].secrets.jwt)
    audit.note(request, signed_in.user.user_id, "verify_quick_login")
    return signed_in


@routes.post("/forgot-password", public=True)
async def forgot_password(request: web.Request, body: EmailOnly) -> Said:
    """Have a letter sent to choose a new password with. The answer is the same for every address."""
    async with _as_long_for_everybody(request, body.email):
        await recovery.ask_to_reset(request[SESSION], body.email, request.app[SETTINGS].public_url)
    return Said(message="If this address is registered here, a letter is on its way to it")


@routes.post("/reset-password", public=True, errors=[TokenInvalid, TooManyLogins])
async def reset_password(request: web.Request, body: PasswordReset) -> Said:
    """Choose a new password with the token of the letter. Every login of this user ends."""
    async with request.app[DATABASE].session(writes=False) as reading:
        if not await is_good(reading, body.token, "reset"):
            raise TokenInvalid
    password_hash = await request.app[PASSWORDS].hash(body.new_password)
    user = await recovery.reset(request[SESSION], body.token, password_hash)
    audit.note(request, user.id, "reset_password")
    return Said(message="Your password is changed; sign in with the new one")


@routes.post("/verify-email", public=True, errors=[TokenInvalid])
async def verify_email(request: web.Request, body: OneTimeToken) -> Verified:
    """Prove an address with the token of the letter."""
    user = await recovery.verify(request[SESSION], body.token)
    audit.note(request, user.id, "verify_email")
    return Verified(email=user.email)


@routes.post("/resend-verification", public=True)
async def resend_verification(request: web.Request, body: EmailOnly) -> Said:
    """Have the letter sent again; the token before it is void. The answer is the same for every address."""
    async with _as_long_for_everybody(request, body.email):
        await recovery.ask_again_to_verify(request[SESSION], body.email, request.app[SETTINGS].public_url)
    return Said(message="If this address waits to be confirmed, a letter is on its way to it")


@routes.post("/change-password", errors=[WrongPassword, TooManyLogins])
async def change_password(request: web.Request, body: PasswordChange) -> Said:
    """Choose a new password. Every other login of yours ends."""
    caller, limits = request[CALLER], request.app[RATE_LIMITS]
    await limits.look(WRONG_LIMIT, caller.user_id)
    try:
        await recovery.change(
            request.app[DATABASE],
            request[SESSION],
            caller,
            request.app[PASSWORDS],
            body.current_password,
            body.new_password,
        )
    except WrongPassword:
        await limits.take(WRONG_LIMIT, caller.user_id)
        raise
    return Said(message="Your password is changed; other devices were signed out")


@routes.post(
    "/google",
    public=True,
    errors=[GoogleOff, GoogleRefused, GoogleAway, AddressUnproven, SignupClosed, EmailTaken],
)
async def sign_in_with_google(request: web.Request, body: GoogleLogin) -> Credentials:
    """Sign in, or sign up, with an ID token from Google, where that is set up."""
    settings, tokens = request.app[SETTINGS], request.app[GOOGLE]
    if not tokens.is_on:
        raise GoogleOff
    try:
        person = await tokens.read(body.credential)
    except NotFromGoogle:
        raise GoogleRefused from None
    except GoogleSilent:
        raise GoogleAway(headers={"Retry-After": "30"}) from None
    session = request[SESSION]
    user, is_new = await google.known_or_new(session, person, is_open=settings.signup == "open")
    if is_new:
        await credit.welcome(session, user.id, settings)
    audit.note(request, user.id, "sign_in_with_google")
    return await service.open_login(session, user, settings.secrets.jwt)
