"""Wire models of widgets."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from api.agents.fields import AgentId
from api.branding.schemas import BrandingConfig
from api.chats.schemas import ChatMessage
from api.http.pages import MAX_OFFSET
from api.http.wire import Wire
from api.widgets import origins
from api.widgets.table import WidgetRow

WidgetId = Annotated[str, Field(max_length=100)]
Colour = Annotated[str, Field(pattern=r"^#(?:[0-9a-fA-F]{3}|[0-9a-fA-F]{6})$")]
Position = Literal["bottom-right", "bottom-left"]
VoiceMode = Literal["chat", "voice", "both"]
Language = Annotated[str, Field(max_length=35, pattern=r"^[A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8})*$")]
Picture = Annotated[str, Field(max_length=2000, pattern=r"^(?:https?://[^\s\"'<>\\]+)?$")]
Slug = Annotated[str, Field(max_length=64, pattern=r"^(?:[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?)?$")]
Domain = Annotated[str, Field(min_length=1, max_length=300), AfterValidator(origins.normal)]
Domains = Annotated[list[Domain], Field(max_length=100)]
Daily = Annotated[int, Field(ge=1, le=1_000_000)]
Text500 = Annotated[str, Field(max_length=500)]
Text200 = Annotated[str, Field(max_length=200)]
Milliseconds = Annotated[int, Field(ge=0, le=600_000)]
LimitSeconds = Annotated[int, Field(ge=10, le=7200)]
Voice = Annotated[str, Field(min_length=1, max_length=200)]
Visitor = Annotated[str, Field(min_length=1, max_length=128)]


_USUAL_COLOUR = "#6366f1"


class WidgetLooks(Wire):
    """What an owner decides about a widget; all of it has a usual value."""

    name: Text200 = ""
    greeting_message: Text500 = "Hi! How can I help you?"
    placeholder_text: Text200 = "Type a message..."
    primary_color: Colour = _USUAL_COLOUR
    position: Position = "bottom-right"
    avatar_url: Picture | None = None
    show_branding: bool = True
    language: Language = "tr-TR"
    auto_open: bool = False
    auto_open_delay_ms: Milliseconds = 3000
    allowed_domains: Domains = Field(default_factory=list)
    """Exact: `shop.example.com`, `localhost:3000`, `https://shop.example.com`. Empty: every page may."""
    voice_greeting_enabled: bool = False
    voice_greeting_voice: Voice = "nova"
    voice_mode: VoiceMode = "chat"
    """`chat`: in writing; `voice`: by voice alone; `both`."""
    voice_session_limit_sec: LimitSeconds = 300
    messages_per_day: Daily = 2000
    """Of all visitors together."""
    messages_per_visitor_per_day: Daily = 100
    voice_sessions_per_day: Daily = 200
    voice_sessions_per_visitor_per_day: Daily = 10
    """Of one address."""
    public_slug: Slug | None = None
    """The widget has a page of its own at `/a/{slug}`; empty: it has none."""


class WidgetCreate(WidgetLooks):
    """A widget to be made."""

    agent_id: AgentId


class WidgetUpdate(Wire):
    """What to change; what is not sent stays."""

    agent_id: AgentId | None = None
    name: Text200 | None = None
    greeting_message: Text500 | None = None
    placeholder_text: Text200 | None = None
    primary_color: Colour | None = None
    position: Position | None = None
    avatar_url: Picture | None = None
    show_branding: bool | None = None
    language: Language | None = None
    auto_open: bool | None = None
    auto_open_delay_ms: Milliseconds | None = None
    allowed_domains: Domains | None = None
    voice_greeting_enabled: bool | None = None
    voice_greeting_voice: Voice | None = None
    voice_mode: VoiceMode | None = None
    voice_session_limit_sec: LimitSeconds | None = None
    messages_per_day: Daily | None = None
    messages_per_visitor_per_day: Daily | None = None
    voice_sessions_per_day: Daily | None = None
    voice_sessions_per_visitor_per_day: Daily | None = None
    public_slug: Slug | None = None
    active: bool | None = None


class Widget(WidgetLooks):
    """A widget as it is stored."""

    widget_id: str
    user_id: str
    agent_id: str
    active: bool
    public_url: str | None = None
    embed_code: str
    """What goes into the page that shows it."""
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, row: WidgetRow, base: str) -> "Widget":
        """A row as the wire has it; `base` is where this api is."""
        return cls.model_validate(
            {
                **row.model_dump(exclude={"id", "owner_id"}),
                "widget_id": row.id,
                "user_id": row.owner_id,
                "public_url": f"{base}/a/{row.public_slug}" if row.public_slug else None,
                "embed_code": f'<script src="{base}/v1/widgets/{row.id}/embed.js" async></script>',
            }
        )


class WidgetFilter(Wire):
    """Which widgets."""

    agent_id: Annotated[str, Field(max_length=100)] | None = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 1000
    offset: Annotated[int, Field(ge=0, le=MAX_OFFSET)] = 0


class WidgetDeleted(Wire):
    """It is gone."""

    success: Literal[True] = True
    widget_id: str


class ShownBrand(Wire):
    """What visitors see of its owner's brand, on the agent's own page."""

    app_name: str | None
    logo_url: str | None
    accent_color: str | None
    support_email: str | None


class WidgetConfig(Wire):
    """All that a page needs to draw a widget, and nothing that only its owner should know."""

    widget_id: str
    name: str
    agent_name: str
    greeting_message: str
    placeholder_text: str
    primary_color: str
    position: Position
    avatar_url: str | None = None
    show_branding: bool
    language: str
    auto_open: bool
    auto_open_delay_ms: int
    voice_mode: VoiceMode
    voice_session_limit_sec: int
    voice_greeting_enabled: bool
    greeting_audio_url: str | None = None
    """Where the spoken greeting is; none until it was made."""
    brand: ShownBrand | None = None
    """None where its owner has none."""

    @classmethod
    def branded(cls, told: dict[str, Any], brand: BrandingConfig) -> "WidgetConfig":
        """A configuration under a brand, which decides what the widget itself left open."""
        has_brand = any((brand.app_name, brand.logo_url, brand.support_email))
        return cls.model_validate(
            {
                **told,
                "primary_color": shown_colour(told["primary_color"], brand),
                "show_branding": told["show_branding"] and not brand.hide_powered_by,
                "brand": ShownBrand.model_validate(brand) if has_brand else None,
            }
        )


def shown_colour(own: str, brand: BrandingConfig) -> str:
    """A widget's colour; one that nobody chose is its brand's."""
    return own if own != _USUAL_COLOUR else brand.primary_color or own


class SessionPage(Wire):
    """Which piece of a widget's chats."""

    limit: Annotated[int, Field(ge=1, le=100)] = 20
    offset: Annotated[int, Field(ge=0, le=MAX_OFFSET)] = 0


class SessionMessages(Wire):
    """All that was written in one chat through a widget."""

    session_id: str
    visitor_id: str | None = None
    visitor_name: str | None = None
    messages: list[ChatMessage]
    total: int


class GreetingAudio(Wire):
    """The greeting was spoken anew."""

    success: Literal[True] = True
    url: str
    bytes: int
    voice_id: str
    """The voice that spoke: the wanted one, or the one of this machine where that is not here."""


class VisitorMessage(Wire):
    """What a visitor writes. Without a `visitor_id` they are somebody new, and the reply names them."""

    message: Annotated[str, Field(min_length=1, max_length=4000, pattern=r"\S")]
    visitor_id: Visitor | None = None
    """Whoever knows it goes on with this visitor's chat: let it be as hard to guess as a password."""
    visitor_name: Text200 | None = None
    stream: bool = False


class VisitorReply(Wire):
    """An answer. `content`, `reply` and `response` are three names of its text."""

    session_id: str
    visitor_id: str
    message_id: str
    role: Literal["assistant"] = "assistant"
    content: str
    reply: str
    response: str
    status: str

    @classmethod
    def of(cls, session_id: str, visitor_id: str, answer: ChatMessage) -> "VisitorReply":
        """What a visitor may know of an answer: neither its price nor what ran for it."""
        return cls(
            session_id=session_id,
            visitor_id=visitor_id,
            message_id=answer.message_id,
            content=answer.content,
            reply=answer.content,
            response=answer.content,
            status=answer.status,
        )


class VoiceRequest(Wire):
    """Who wants to talk."""

    visitor_id: Visitor | None = None
    visitor_name: Text200 | None = None
    context: dict[str, Any] | None = Field(default=None, max_length=50)
    """Values for `{{name}}` in the agent's texts."""
