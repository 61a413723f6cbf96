"""Wire models of web calls."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from api.agents.fields import AgentId
from api.http.wire import Wire
from api.telephone import E164
from api.web_call.table import PublicWebCallRow, WebCallRow
from api.widgets.schemas import Domains

PublicToken = Annotated[str, Field(max_length=100)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Target = Annotated[E164 | None, BeforeValidator(lambda value: None if value == "" else value)]


class WebCallConfigUpdate(Wire):
    """What to change; what is not sent stays. The first time makes it."""

    name: Name | None = None
    """As it is called in lists; left out the first time: the agent's name."""
    enabled: bool | None = None
    record_enabled: bool | None = None


class WebCallConfig(Wire):
    """How an agent's owner calls from a browser."""

    id: str
    agent_id: str
    name: str
    enabled: bool
    record_enabled: bool
    """Whether these calls are recorded, whatever the agent says of its other calls."""

    @classmethod
    def of(cls, row: WebCallRow) -> "WebCallConfig":
        """A row as the wire has it."""
        return cls.model_validate(row.model_dump())


class WebCallStart(Wire):
    """Who calls whom: from the agent's own number to another."""

    agent_id: AgentId
    to_number: E164


class WebCallStarted(Wire):
    """What a LiveKit client connects with."""

    call_id: str
    room_name: str
    web_token: str
    livekit_url: str
    from_number: str
    to_number: str


class PublicWebCallUpdate(Wire):
    """What to change; what is not sent stays. The first time makes it, and its token."""

    public_enabled: bool | None = None
    target_number: Target = None
    """One of your numbers, whose agent answers; empty: the agent of this configuration does."""
    allowed_domains: Domains | None = None
    """Exact, as of widgets: `shop.example.com`, `localhost:3000`. Empty: every page may."""
    daily_call_limit: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    ip_rate_per_min: Annotated[int, Field(ge=1, le=1000)] | None = None
    max_duration_sec: Annotated[int, Field(ge=10, le=7200)] | None = None


class PublicWebCall(Wire):
    """How everybody who has the token may call from a browser."""

    id: str
    agent_id: str
    public_enabled: bool
    target_number: str | None = None
    public_token: str | None = None
    allowed_domains: list[str]
    daily_call_limit: int
    """Of all together, in a day of UTC."""
    ip_rate_per_min: int
    """Of one address."""
    max_duration_sec: int
    embed_code: str
    """What goes into the page that shows it."""

    @classmethod
    def of(cls, row: PublicWebCallRow, base: str) -> "PublicWebCall":
        """A row as its owner sees it; `base` is where this api is."""
        token = row.token.get_secret_value()
        return cls.model_validate(
            {
                **row.model_dump(exclude={"token", "hash"}),
                "public_token": token,
                "embed_code": f'<script src="{base}/v1/web-call/public/{token}/embed.js" async></script>',
            }
        )


class TokenRenewed(Wire):
    """The token before is worth nothing any more."""

    success: Literal[True] = True
    agent_id: str
    public_token: str
    embed_code: str


class PublicWebCallStarted(Wire):
    """What a LiveKit client connects with."""

    room_name: str
    web_token: str
    livekit_url: str
    max_duration_sec: int
