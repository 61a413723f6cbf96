"""What an agent's owner says of its functions: how each runs, and where those that are webhooks are."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

Name = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_-]{0,63}$")]
MAX_TIMEOUT_MS = 60_000


class RunsLike(BaseModel):
    """How one function runs while somebody waits for it on a call."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    timeout_ms: Annotated[int, Field(ge=100, le=MAX_TIMEOUT_MS)] = 20_000
    """A caller who waits longer than 20 s in silence has hung up."""
    speak_during_execution: Annotated[str, Field(max_length=500)] = ""
    """Said while it runs, as it stands."""
    speak_prompt: Annotated[str, Field(max_length=2000)] = ""
    """Instead: what the engine is told to say while it runs, in words of its own."""
    speak_after_ms: Annotated[int, Field(ge=0, le=10_000)] = 500
    """Nobody hears of a function that is done sooner."""
    on_interruption: Literal["finish", "cancel"] = "finish"
    """What becomes of it when the caller starts to speak."""
    acts: bool = True
    """It changes something: the same call is never made twice in one turn, and carries a key."""

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: inner for name, inner in value.items() if inner is not None}
        return value


class PythonFunction(RunsLike):
    """A developer's function that workers have."""

    type: Literal["python"]
    name: Name


class WebhookFunction(RunsLike):
    """An HTTP endpoint: the arguments go out as JSON, what comes back goes to the engine."""

    type: Literal["webhook"] = "webhook"
    name: Name
    description: Annotated[str, Field(max_length=4000)] = ""
    url: Annotated[str, Field(min_length=1, max_length=2048)]
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "POST"
    """GET and DELETE carry the arguments in the query."""
    parameters: dict[str, Any] = {"type": "object", "properties": {}}
    """JSON Schema of the arguments, checked before anything is sent."""
    headers: Annotated[
        dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,100}$")], Annotated[str, Field(max_length=4000)]],
        Field(max_length=20),
    ] = {}
    secret: Annotated[str, Field(max_length=500)] = ""
    """Signs each request (`X-Call2Me-Signature`); empty: not signed."""
    timeout_ms: Annotated[int, Field(ge=100, le=MAX_TIMEOUT_MS)] = 8_000
    """For all tries together."""
    retries: Annotated[int, Field(ge=0, le=3)] = 2
    """After no connection, 429, 502, 503 and 504; each carries the same key."""
    response_schema: dict[str, Any] | None = None
    """JSON Schema that the answer must have."""
    response_mapping: Annotated[dict[str, Annotated[str, Field(max_length=200)]], Field(max_length=50)] = {}
    """What the engine is told: a name for each path into the answer, like `slots.0.time`."""


def kind_of(entry: dict[str, Any]) -> str:
    """`python` or `webhook`; the contract's own functions name no type."""
    return str(entry.get("type") or "webhook")


_WEBHOOK: TypeAdapter[WebhookFunction] = TypeAdapter(WebhookFunction)
_PYTHON: TypeAdapter[PythonFunction] = TypeAdapter(PythonFunction)


def read(entry: dict[str, Any]) -> PythonFunction | WebhookFunction:
    """One entry of an agent's `functions`. Raises `ValidationError`, a `ValueError`."""
    if kind_of(entry) == "python":
        return _PYTHON.validate_python(entry)
    return _WEBHOOK.validate_python({**entry, "type": kind_of(entry)})
