"""Chats on the wire. `chat_id` and `session_id` are two names of one thing."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from api.agents.fields import AgentId
from api.chats.table import ChatFunctionRow, ChatMessageRow, ChatRow
from api.http.pages import MAX_OFFSET
from api.http.wire import Wire

SessionId = Annotated[str, Field(max_length=100)]
Title = Annotated[str, Field(min_length=1, max_length=200)]
ExternalUser = Annotated[str, Field(min_length=1, max_length=200)]


class ChatCreate(Wire):
    """A chat to begin. Texts and numbers in `metadata` are the agent's variables, `{{name}}`."""

    agent_id: AgentId
    title: Title | None = None
    external_user_id: ExternalUser | None = None
    metadata: Annotated[dict[str, Any], Field(max_length=100)] | None = None


class ChatQuery(Wire):
    """Which chats: `search` is looked for in titles, agents' names and messages."""

    limit: Annotated[int, Field(ge=1, le=100)] = 20
    offset: Annotated[int, Field(ge=0, le=MAX_OFFSET)] = 0
    agent_id: Annotated[str, Field(max_length=100)] | None = None
    search: Annotated[str, Field(max_length=200)] | None = None
    status: Literal["active", "archived", "all"] = "active"
    source: Annotated[str, Field(max_length=20)] | None = None
    external_user_id: ExternalUser | None = None


class ChatChange(Wire):
    """What to change of a chat."""

    title: Title | None = None
    status: Literal["active", "archived"] | None = None


class MessageCreate(Wire):
    """What a person writes. `model` lets another model of the agent's provider answer this once."""

    content: Annotated[str, Field(min_length=1, max_length=4000, pattern=r"\S")]
    model: Annotated[str, Field(max_length=200)] | None = None
    stream: bool = False


class ChatSession(Wire):
    """A chat. `total_cost_usd` is null once an answer's price was not known."""

    session_id: str
    chat_id: str
    user_id: str
    agent_id: str | None = None
    agent_name: str | None = None
    title: str | None = None
    status: str
    message_count: int
    total_tokens: int
    total_cost_usd: float | None
    external_user_id: str | None = None
    metadata: dict[str, Any] | None = None
    created_at: datetime
    updated_at: datetime
    source: str = "chat"
    widget_name: str | None = None
    visitor_name: str | None = None

    @classmethod
    def fields(cls, row: ChatRow) -> dict[str, Any]:
        """What a row says, in the wire's words."""
        same = set(ChatSession.model_fields) & set(ChatRow.model_fields)
        return {
            **row.model_dump(include=same),
            "session_id": row.id,
            "chat_id": row.id,
            "user_id": row.owner_id,
            "metadata": row.extra,
        }

    @classmethod
    def of(cls, row: ChatRow) -> "ChatSession":
        """A row as the wire has it."""
        return cls.model_validate(cls.fields(row))


class ChatList(Wire):
    """A piece of the chats, those written in last first."""

    sessions: list[ChatSession]
    total: int
    limit: int
    offset: int


class ChatFunction(Wire):
    """A function that ran for an answer. Neither result nor error: it was cut off."""

    name: str
    arguments: dict[str, Any]
    result: str | None = None
    error: str | None = None


class ChatMessage(Wire):
    """A message. What is not known of its tokens and its price is null.

    A person's is `answering`, `answered`, or `lost`: send it again then. An agent's is `complete`, or
    `failed` where it is only an apology.
    """

    message_id: str
    role: Literal["user", "assistant"]
    content: str
    status: str
    tokens_input: int | None
    tokens_output: int | None
    cost_usd: float | None
    model: str | None = None
    function_calls: list[ChatFunction] = Field(default_factory=list)
    created_at: datetime

    @classmethod
    def of(cls, row: ChatMessageRow, ran: Sequence[ChatFunctionRow], *, is_answering: bool) -> "ChatMessage":
        """A row as the wire has it, with what ran for it; `is_answering`: somebody alive is at it."""
        is_lost = row.status == "answering" and not is_answering
        is_free = row.role == "user"
        return cls(
            message_id=row.id,
            role="user" if row.role == "user" else "assistant",
            content=row.content,
            status="lost" if is_lost else row.status,
            model=row.model,
            function_calls=[ChatFunction.model_validate(run) for run in ran],
            created_at=row.created_at,
            tokens_input=0 if is_free else row.tokens_input,
            tokens_output=0 if is_free else row.tokens_output,
            cost_usd=0.0 if is_free else row.cost_usd,
        )


class ChatDetail(ChatSession):
    """A chat with all that was written in it."""

    messages: list[ChatMessage]


class ChatReply(Wire):
    """A message and its answer. `message_id`, `role`, `content` and `function_calls` are the answer's."""

    user_message: ChatMessage
    assistant_message: ChatMessage
    message_id: str
    role: Literal["assistant"] = "assistant"
    content: str
    function_calls: list[ChatFunction]
