"""The WebSocket between a worker's supervisor and the api: what each frame may be."""

from typing import Annotated, Any, Literal

from pydantic import Field, FiniteFloat, TypeAdapter

from pipelines.contract.actions import Action
from pipelines.contract.message import Message

MAX_TRUNKS_TOLD = 300
"""Of so many trunks an exchange says whether they are registered: each second, in one frame."""
MAX_TRUNK_PROBLEM = 150


class Available(Message):
    """One thing an agent may ask for here (`stt`, `llm`, `tts`), and why not if it may not."""

    kind: Literal["stt", "llm", "tts"]
    provider: str
    is_available: bool
    languages: tuple[str, ...] = ()
    """Language codes (`en`, `tr`); empty means any."""
    hint: str = ""
    """What to do to make it available."""


class FunctionSignature(Message):
    """A developer's function that this worker has loaded. `parameters` is a JSON Schema object."""

    name: str
    description: str
    parameters: dict[str, Any]


class Hello(Message):
    """First frame of a worker's supervisor, and again when what it offers has changed."""

    kind: Literal["hello"] = "hello"
    worker_id: str
    version: str
    functions: tuple[FunctionSignature, ...] | None = None
    """None until its folder was read for the first time."""
    available: tuple[Available, ...] = ()


class Status(Message):
    """Sent each second and on every change. Running calls that are missing from `call_ids` are lost."""

    kind: Literal["status"] = "status"
    is_ready: bool
    """True only when this worker could answer a call now."""
    why_not: str = ""
    call_ids: tuple[str, ...] = ()
    alive: dict[str, int] = Field(default_factory=dict)
    """Calls whose processes are connected now, and as which attempt."""
    processes: dict[str, int] = Field(default_factory=dict)
    """Name of a part to its process id."""
    phones_why_not: str | None = None
    """Why this worker could take or place no phone call now, empty when it could; None: it has no phones."""
    trunks: dict[str, str] = Field(default_factory=dict)
    """Of trunks that its exchange registers: why each is not registered, empty when it is. Of others, only
    those of which it is known that their calls do not arrive."""
    journal: str = ""
    """Which journal its exchange writes phone calls down in; empty while there is no exchange."""


class Goodbye(Message):
    """Last frame of a supervisor that stops on purpose."""

    kind: Literal["goodbye"] = "goodbye"


class FunctionTried(Message):
    """What came of a `TryFunction`."""

    kind: Literal["function_tried"] = "function_tried"
    order_id: str
    ok: bool
    result: str = ""
    error: str = ""
    elapsed_ms: FiniteFloat = 0


class TryFunction(Message):
    """The api orders a developer's function to be run, as a call would run it, in a process of its own."""

    kind: Literal["try_function"] = "try_function"
    order_id: str
    name: str
    arguments: dict[str, Any] = Field(default_factory=dict)
    timeout_ms: Annotated[int, Field(ge=100, le=60_000)] = 8_000


class Order(Message):
    """Somebody outside steers a running call. Sent once, answered once or not at all."""

    kind: Literal["order"] = "order"
    order_id: str
    call_id: str
    timeout_ms: Annotated[int, Field(ge=100, le=60_000)] = 5_000
    action: Action


class Obeyed(Message):
    """What came of an order; what is not `done` changed nothing. `unknown` answers `Withdraw` alone."""

    kind: Literal["obeyed"] = "obeyed"
    order_id: str
    outcome: Literal["done", "refused", "not_here", "unknown"]
    message: str = ""


class HangUp(Message):
    """The api orders a call to end."""

    kind: Literal["hang_up"] = "hang_up"
    call_id: str
    reason: str
    hands_over: bool = False
    """Leave quietly: the room and those in it belong to another attempt."""


NOT_YET = "it is not registered yet"
"""Of a trunk that the exchange has only just begun to register."""
UNHEARD = "nothing here listens for calls over "
"""Of one that needs no registration; behind it stands the trunk's transport."""


class Dial(Message):
    """The api orders a call to be made. Sent once, and answered with `Obeyed` once it is on its way."""

    kind: Literal["dial"] = "dial"
    order_id: str
    call_id: str
    trunk_id: str
    to_number: str
    from_number: str
    ring_seconds: Annotated[int, Field(ge=5, le=180)] = 60
    apart: str = ""
    """As in `PhoneRoute`."""
    headers: dict[str, str] = Field(default_factory=dict)
    """Of the INVITE; their names begin with X-."""


class Withdraw(Message):
    """A `Dial` was not answered: nobody is to be called for it any more.

    Answered with `done`: nobody was, and nobody will be; `refused`: somebody may have been, and how that ends
    will be told; `unknown`: the journal that had it is gone; `not_here`: there is no exchange now that could
    say. Asked again it does no harm.
    """

    kind: Literal["withdraw"] = "withdraw"
    order_id: str
    call_id: str
    journal: str = ""
    """Which one it would be written down in (`Status.journal`); empty: not known."""


class TakeUp(Message):
    """A phone call's process died: another is to go on with it, as this attempt."""

    kind: Literal["take_up"] = "take_up"
    order_id: str
    call_id: str
    attempt: Annotated[int, Field(ge=1)]


FromWorker = Annotated[Hello | Status | FunctionTried | Obeyed | Goodbye, Field(discriminator="kind")]
FROM_WORKER: TypeAdapter[FromWorker] = TypeAdapter(FromWorker)

ToWorker = Annotated[HangUp | TryFunction | Order | Dial | Withdraw | TakeUp, Field(discriminator="kind")]
TO_WORKER: TypeAdapter[ToWorker] = TypeAdapter(ToWorker)
