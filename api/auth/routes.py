"""/v1/auth"""

from aiohttp import web

from api.auth import service
from api.auth.passwords import TooManyLogins
from api.auth.schemas import Credentials, LoggedOut, LogIn, LogOut, OneTimeToken, Refresh, SignUp
from api.auth.service import LinkUsed, RefreshTokenReused, SignupClosed, WrongCredentials
from api.auth.tokens import InvalidToken
from api.http.rate_limits import ACCOUNT_LIMIT, LOGIN_LIMIT
from api.http.routes import Routes
from api.keys import CALLER, DATABASE, PASSWORDS, RATE_LIMITS, SESSION, SETTINGS
from api.users import service as users
from api.users.service import EmailTaken
from api.wallet import credit

routes = Routes("/v1/auth", tag="Authentication")


@routes.post(
    "/register",
    aliases=["/signup"],
    public=True,
    limit=LOGIN_LIMIT,
    errors=[SignupClosed, EmailTaken, TooManyLogins],
)
async def register(request: web.Request, body: SignUp) -> Credentials:
    """Make a user, and sign in."""
    settings = request.app[SETTINGS]
    if settings.signup == "closed":
        raise SignupClosed
    password_hash = await request.app[PASSWORDS].hash(body.password)
    session = request[SESSION]
    user = await users.create(
        session, email=body.email, password_hash=password_hash, full_name=body.full_name
    )
    await credit.welcome(session, user.id, settings)
    return await service.open_login(session, user, settings.secrets.jwt)


@routes.post("/login", public=True, limit=LOGIN_LIMIT, errors=[WrongCredentials, TooManyLogins])
async def log_in(request: web.Request, body: LogIn) -> Credentials:
    """Sign in with a password."""
    request.app[RATE_LIMITS].take(ACCOUNT_LIMIT, body.email.lower())
    # The slow check happens before the writing transaction begins.
    async with request.app[DATABASE].session(writes=False) as reading:
        user = await users.find(reading, body.email)
    if not await request.app[PASSWORDS].matches(user.password_hash if user else None, body.password):
        raise WrongCredentials
    session = request[SESSION]
    if user is None or (user := await users.find(session, body.email)) is None:
        raise WrongCredentials
    return await service.open_login(session, user, request.app[SETTINGS].secrets.jwt)


@routes.post("/refresh", public=True, limit=LOGIN_LIMIT, errors=[InvalidToken, RefreshTokenReused])
async def refresh_tokens(request: web.Request, body: Refresh) -> Credentials:
    """Exchange a refresh token for new tokens; each is good once."""
    return await service.refresh(request[SESSION], body.refresh_token, request.app[SETTINGS].secrets.jwt)


@routes.post("/logout")
async def log_out(request: web.Request, body: LogOut | None) -> LoggedOut:
    """End this login; its access and refresh tokens are refused from now on."""
    await service.log_out(request[SESSION], request[CALLER], body.refresh_token if body else None)
    return LoggedOut()


@routes.post("/quick-login/verify", public=True, limit=LOGIN_LIMIT, errors=[LinkUsed])
async def verify_quick_login(request: web.Request, body: OneTimeToken) -> Credentials:
    """Sign in with the token of a one-time link."""
    return await service.use_link(request[SESSION], body.token, request.app[SETTINGS].secrets.jwt)
