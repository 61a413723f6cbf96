"""What the api and the text process say to each other: one JSON object a line.

api      Answer ─────────────────────► GoOn ───────────────► (Stop)
process          Piece … Began (waits)      Used, Piece … Ended
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from pipelines.contract.brief import CallBrief

MAX_LINE = 16 * 1024 * 1024


class _Frame(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    turn_id: str


class Answer(_Frame):
    """Answer this. Without a message: what the brief's transcript says was asked last."""

    kind: Literal["answer"] = "answer"
    brief: CallBrief
    message: str


class GoOn(_Frame):
    """The function that began is written down: run it, unless it ran before."""

    kind: Literal["go_on"] = "go_on"
    function_call_id: str
    result: str | None = None
    """What it gave when it ran before; it does not run again."""
    refusal: str | None = None
    """Why it must not run: nobody knows whether it did what it was to do."""


class Stop(_Frame):
    """Nobody wants this answer any more."""

    kind: Literal["stop"] = "stop"


class Piece(_Frame):
    """Some more of the answer."""

    kind: Literal["piece"] = "piece"
    text: str


class Began(_Frame):
    """A function is about to run, and waits until that is written down."""

    kind: Literal["began"] = "began"
    function_call_id: str
    name: str
    arguments: dict[str, Any]


class Used(_Frame):
    """A function ran. Exactly one of `result` and `error` is set."""

    kind: Literal["used"] = "used"
    function_call_id: str
    result: str | None = None
    error: str | None = None


class Ended(_Frame):
    """The answer is whole; `error` is why it is only an apology."""

    kind: Literal["ended"] = "ended"
    text: str
    error: str = ""
    engine: str = ""
    input_tokens: int | None = None
    output_tokens: int | None = None


FromText = Piece | Began | Used | Ended
TO_TEXT: TypeAdapter[Answer | GoOn | Stop] = TypeAdapter(
    Annotated[Answer | GoOn | Stop, Field(discriminator="kind")]
)
FROM_TEXT: TypeAdapter[FromText] = TypeAdapter(Annotated[FromText, Field(discriminator="kind")])
