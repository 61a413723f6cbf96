"""What the parts of an agent may be: one type for each, shared by creating and changing one."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag, UrlConstraints, model_validator
from pydantic import TypeAdapter as _TypeAdapter
from pydantic_core import Url

from api.agents import functions
from api.http.wire import Wire

AgentId = Annotated[str, Field(pattern=r"^agent_[a-f0-9]{12}$")]
Unit = Annotated[float, Field(ge=0, le=1)]

Name = Annotated[str, Field(min_length=1, max_length=100)]
VoiceId = Annotated[str, Field(min_length=1, max_length=200)]
Language = Annotated[str, Field(max_length=35, pattern=r"^[A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8})*$")]
VoiceSpeed = Annotated[float, Field(ge=0.5, le=2.0)]
Prompt = Annotated[str, Field(max_length=200_000)]
Message = Annotated[str, Field(max_length=10_000)]
Words = Annotated[list[Annotated[str, Field(max_length=100)]], Field(max_length=100)]
Languages = Annotated[list[Language], Field(max_length=20)]
ReminderMs = Annotated[int, Field(ge=3_000, le=60_000)]
ReminderCount = Annotated[int, Field(ge=0, le=5)]
SilenceMs = Annotated[int, Field(ge=10_000, le=120_000)]
DurationMs = Annotated[int, Field(ge=60_000, le=7_200_000)]
VoicemailMs = Annotated[int, Field(ge=2_000, le=15_000)]
Chunks = Annotated[int, Field(ge=1, le=10)]
KnowledgeBaseIds = Annotated[list[Annotated[str, Field(min_length=1, max_length=100)]], Field(max_length=100)]
Model = Annotated[str, Field(min_length=1, max_length=200)]
MessageMode = Literal["static", "dynamic"]
BackgroundSound = Literal["none", "office", "keyboard"]
VoicemailAction = Literal["hangup", "leave_message"]


def _address(*schemes: str) -> AfterValidator:
    """The text as it was sent, once it reads as an address; empty takes an address away."""
    reader: _TypeAdapter[Any] = _TypeAdapter(Annotated[Url, UrlConstraints(allowed_schemes=list(schemes))])

    def check(text: str) -> str:
        if text:
            reader.validate_python(text)
        return text

    return AfterValidator(check)


WebhookUrl = Annotated[str, Field(max_length=2048), _address("https", "http")]
WebsocketUrl = Annotated[str, Field(min_length=1, max_length=2048), _address("wss", "ws")]


Function = Annotated[dict[str, Any], AfterValidator(functions.check)]
Functions = Annotated[list[Function], Field(max_length=100), AfterValidator(functions.check_all)]
BuiltinFunction = Literal[
    "end_call",
    "transfer_call",
    "hold_call",
    "dtmf_input",
    # ours
    "collect_digits",
    "mute",
    "unmute",
    "send_digits",
    "hand_over",
    "request_callback",
    "search_knowledge_base",
]


class McpServer(Wire):
    """A server whose tools an agent may use."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_-]{0,63}$")]
    url: Annotated[str, Field(min_length=1, max_length=2048), _address("https", "http")]
    headers: Annotated[dict[str, Annotated[str, Field(max_length=4096)]], Field(max_length=20)] = Field(
        default_factory=dict
    )
    allowed_tools: Annotated[list[Name], Field(max_length=100)] = Field(default_factory=list)
    timeout_ms: Annotated[int, Field(ge=500, le=60_000)] = 10_000


class BuiltinEngine(Wire):
    """A language model that this platform asks."""

    type: Literal["call2me-llm"] = "call2me-llm"
    system_prompt: Prompt
    llm_provider: Literal["openai", "gemini", "anthropic", "openrouter", "scripted", "call2me"] = "openrouter"
    """`call2me` is whatever this installation has, `scripted` its dialog engine without a model."""
    llm_model: Model = "gpt-4-turbo"
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.7
    engine: Literal["cascade", "realtime"] = "cascade"
    max_tokens: Annotated[int, Field(ge=1, le=4096)] = 500
    builtin_functions: Annotated[list[BuiltinFunction], Field(max_length=20)] | None = None
    functions: Functions | None = None
    mcp_servers: Annotated[list[McpServer], Field(max_length=10)] | None = None


class CustomEngine(Wire):
    """A dialog engine of the owner's own."""

    type: Literal["custom-llm"]
    llm_websocket_url: WebsocketUrl


def _engine_type(value: Any) -> str:
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return str(kind or "call2me-llm")


ResponseEngine = Annotated[
    Annotated[BuiltinEngine, Tag("call2me-llm")] | Annotated[CustomEngine, Tag("custom-llm")],
    Discriminator(_engine_type),
]


class TransferTarget(Wire):
    """Somebody a call can be handed to."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    type: Literal["phone", "sip", "agent", "external", "queue"]
    value: Annotated[str, Field(min_length=1, max_length=500)]
    mode: Literal["cold", "warm"] = "cold"
    """`warm`: they hear beforehand who comes, and may decline. Only a telephone number can be asked."""
    private_message: Annotated[str, Field(max_length=500)] | None = None
    """What they hear, they alone; without it what the talk was about."""
    three_way: bool = False
    """The agent introduces the two to each other before it leaves."""
    public_message: Annotated[str, Field(max_length=500)] | None = None
    """The words of that, which both hear."""
    accept_timeout_ms: Annotated[int, Field(ge=5_000, le=30_000)] = 15_000
    """How long they may think before they are asked once more, and then again."""

    @model_validator(mode="after")
    def _can_be_asked(self) -> "TransferTarget":
        if self.mode == "warm" and self.type != "phone":
            raise ValueError("mode: only a target of the type phone can be warm.")
        return self


class ExtractedField(Wire):
    """Something to find out from a call once it is over."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    type: Literal["string", "number", "boolean", "enum"]
    description: Annotated[str, Field(max_length=2000)] = ""


class PostCallAction(Wire):
    """Something to do once a call is over, where a condition holds."""

    type: Literal["schedule_call", "webhook", "tag_contact", "email"]
    name: Annotated[str, Field(max_length=200)] | None = None
    condition: Annotated[str, Field(max_length=1000)] | dict[str, Any] | None = None
    config: dict[str, Any] = Field(default_factory=dict)


class PublicCard(Wire):
    """What end users see of an agent."""

    emoji: Annotated[str, Field(max_length=20)] | None = None
    title: Annotated[str, Field(max_length=200)] | None = None
    order: int | None = Field(default=None, ge=-(2**31), lt=2**31)
    visible: bool | None = None


TransferTargets = Annotated[list[TransferTarget], Field(max_length=100)]
Extraction = Annotated[list[ExtractedField], Field(max_length=100)]
Actions = Annotated[list[PostCallAction], Field(max_length=100)]
