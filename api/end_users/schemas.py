"""Wire models of end users' tokens."""

from datetime import datetime
from typing import Annotated, Literal, get_args

from pydantic import Field

from api.agents.fields import AgentId
from api.db.columns import now
from api.end_users.table import EndUserTokenRow
from api.http.callers import Caller
from api.http.wire import Wire

Scope = Literal["agents:read", "chats:read", "chats:write", "voice:read", "voice:write"]
ALL: list[Scope] = list(get_args(Scope))
LEAST_SECONDS, MOST_SECONDS = 60, 86_400
ExternalId = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f]+$")]


class TokenCreate(Wire):
    """What a token may do, and for how long."""

    expires_in: Annotated[int, Field(ge=1)] = 3600
    """Seconds; raised to 60 and lowered to 86400 where it is outside of these."""
    scopes: Annotated[list[Scope], Field(max_length=20)] | None = None
    """Absent: all of them."""
    agent_ids: Annotated[list[AgentId], Field(min_length=1, max_length=100)] | None = None
    """Absent: every agent whose card is not hidden."""


class EndUserToken(Wire):
    """A token, without the token."""

    token_id: str
    external_user_id: str
    scopes: list[Scope]
    agent_ids: list[str] | None = None
    expires_at: datetime
    is_active: bool
    created_at: datetime

    @classmethod
    def of(cls, row: EndUserTokenRow) -> "EndUserToken":
        """What may be shown of a row."""
        return cls.model_validate(shown(row))


class NewEndUserToken(EndUserToken):
    """A token that was just made: it is shown this once. Hand it to the person's own device."""

    token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - the kind of a token, not one
    expires_in: int

    @classmethod
    def made(cls, row: EndUserTokenRow, token: str, seconds: int) -> "NewEndUserToken":
        """The row and what only its maker ever sees."""
        return cls.model_validate({**shown(row), "token": token, "expires_in": seconds})


class EndUser(Wire):
    """Whom a token stands for, and what it may do."""

    external_user_id: str
    scopes: list[str]
    agent_ids: list[str] | None = None

    @classmethod
    def of(cls, caller: Caller) -> "EndUser":
        """What a caller's token says."""
        may = caller.end_user
        return cls(
            external_user_id=caller.external_user_id,
            scopes=sorted(may.scopes) if may else [],
            agent_ids=sorted(may.agent_ids) if may and may.agent_ids is not None else None,
        )


class Revoked(Wire):
    """How many tokens are refused from now on."""

    revoked: int


def shown(row: EndUserTokenRow) -> dict[str, object]:
    """What may be shown of a row."""
    return {
        "token_id": row.id,
        "external_user_id": row.external_id,
        "scopes": row.scopes,
        "agent_ids": row.agent_ids,
        "expires_at": row.expires_at,
        "is_active": row.revoked_at is None and row.expires_at > now(),
        "created_at": row.created_at,
    }
