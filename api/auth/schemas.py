"""Wire models of signing in."""

from typing import Annotated, Literal

from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, Field

from api.auth.passwords import MAX_BYTES
from api.http.wire import Wire
from api.users.schemas import UserProfile


def _short_enough(password: str) -> str:
    if len(password.encode()) > MAX_BYTES:
        raise ValueError(f"must have at most {MAX_BYTES} bytes")
    return password


def address(text: str) -> str:
    """An address as mail programs mean it; one that works only in one's own network (`.local`) is fine."""
    try:
        return validate_email(text, check_deliverability=False, globally_deliverable=False).normalized
    except EmailNotValidError as error:
        raise ValueError(f"is not an email address: {error}") from None


def _address_or_text(text: str) -> str:
    """As it was kept at signing up; what is no address is nobody's, and needs no other answer than that."""
    try:
        return address(text)
    except ValueError:
        return text


Email = Annotated[str, Field(max_length=254, json_schema_extra={"format": "email"}), AfterValidator(address)]
NewPassword = Annotated[str, Field(min_length=8, max_length=MAX_BYTES), AfterValidator(_short_enough)]
Token = Annotated[str, Field(min_length=1, max_length=512)]


class Attribution(Wire):
    """Where somebody came from. Read, so that a wrong one is named; kept nowhere."""

    referrer: Annotated[str, Field(max_length=500)] | None = None
    landing: Annotated[str, Field(max_length=500)] | None = None
    utm_source: Annotated[str, Field(max_length=200)] | None = None
    utm_medium: Annotated[str, Field(max_length=200)] | None = None
    utm_campaign: Annotated[str, Field(max_length=200)] | None = None
    gclid: Annotated[str, Field(max_length=200)] | None = None


class SignUp(Wire):
    """Who wants to be a user here."""

    email: Email
    password: NewPassword
    full_name: Annotated[str, Field(max_length=255)] | None = None
    attribution: Attribution | None = None


class GoogleLogin(Wire):
    """An ID token from Google."""

    credential: Annotated[str, Field(min_length=1, max_length=8192)]
    attribution: Attribution | None = None


class EmailOnly(Wire):
    """Whose address it is."""

    email: Annotated[str, Field(max_length=254), AfterValidator(_address_or_text)]


class PasswordReset(Wire):
    """A new password, and the token of the letter."""

    token: Token
    new_password: NewPassword


class PasswordChange(Wire):
    """A new password, and the one until now."""

    current_password: Annotated[str, Field(max_length=1024)]
    new_password: NewPassword


class LogIn(Wire):
    """Who says that they are a user here."""

    email: Annotated[str, Field(max_length=254), AfterValidator(_address_or_text)]
    password: Annotated[str, Field(max_length=1024)]


class Refresh(Wire):
    """A refresh token; good once."""

    refresh_token: Token


class LogOut(Wire):
    """Optionally the refresh token to revoke as well, where it is of another login."""

    refresh_token: Token | None = None


class OneTimeToken(Wire):
    """The token of a one-time link."""

    token: Token


class Credentials(Wire):
    """Tokens, and whose they are."""

    access_token: str
    refresh_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - a word, not a secret
    expires_in: int
    """Seconds that the access token is good for."""
    user: UserProfile


class Said(Wire):
    """What happened, in a sentence."""

    message: str


class Verified(Wire):
    """Whose address is proven."""

    message: str = "Your address is confirmed"
    email: str
    email_verified: bool = True


class LoggedOut(Wire):
    """What logging out answers."""

    message: str = "Logged out"
