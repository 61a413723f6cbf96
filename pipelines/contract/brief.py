"""What an attempt at a call is told before it begins, and how it asks."""

from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, Field, FiniteFloat

from pipelines.agent_config import AgentConfig
from pipelines.contract.actions import Action
from pipelines.contract.message import Message
from pipelines.costs import Prices
from pipelines.transcript import Utterance

VERSION: Literal[1] = 1

AGENT_NAME = "call2me"
"""The LiveKit agent name that our workers register and our dispatches ask for."""


class KnowledgeVersion(Message):
    """The newest index of a knowledge base; `GET /internal/knowledge/{base_id}/{version}` has its bytes."""

    base_id: str
    name: str = ""
    version: int
    """0: nothing of it has been read yet."""
    digest: str = ""
    """SHA-256 of the bytes."""
    is_gone: bool = False
    """Its owner deleted it."""
    titles: tuple[str, ...] = ()
    """Of some of its sources, in a brief: names that a recogniser may hear."""


class KnowledgeWanted(Message):
    """A worker asks for the newest versions of these bases; one that is not in the answer is gone."""

    base_ids: Annotated[list[str], Field(max_length=1000)]


class BriefRequest(Message):
    """A worker asks whom a call is for. The same `job_id` again gets the same attempt."""

    worker_id: str
    job_id: str
    attempt: Annotated[int, Field(ge=0)] = 0
    """The attempt that the job was dispatched for; 0 for the dispatch of a token, which knows none."""


class FunctionRun(Message):
    """A function that an earlier attempt called. Neither result nor error: it was under way at its death."""

    function_call_id: str
    name: str
    arguments: dict[str, Any]
    result: str | None = None
    error: str | None = None
    started_at: AwareDatetime

    @property
    def is_interrupted(self) -> bool:
        """Nobody knows whether it did what it was to do."""
        return self.result is None and self.error is None


class MenuChoice(Message):
    """One key of a menu, and where it leads: to an agent by its id, or to a telephone."""

    key: str
    label: str = ""
    kind: Literal["agent", "phone"]
    value: str


class Reception(Message):
    """What comes before the agent: a menu, or a person who is rung first; not both. Or all there is."""

    say: str = ""
    choices: tuple[MenuChoice, ...] = ()
    forward_to: str = ""
    is_all: bool = False
    """No agent follows: it is said, one key is waited for, and the call is over."""


class Queue(Message):
    """How a caller waits for whom no line is free yet."""

    until: AwareDatetime
    """Nobody waits for longer."""
    every_seconds: Annotated[int, Field(ge=1)] = 30
    """How often they are told where they stand, besides whenever that changes."""
    offers_callback: bool = False
    """They may press 1 to be called back, and are called back when nobody was free in time."""


class CallBrief(Message):
    """Everything one attempt at one call needs to know, as it was at this moment."""

    version: Literal[1] = VERSION
    call_id: str
    attempt: Annotated[int, Field(ge=1)] = 1
    agent: AgentConfig
    variables: dict[str, str] = Field(default_factory=dict)
    caller_number: str = ""
    """Who is on the other side, where a telephone told it."""
    prices: Prices | None = None
    """What its providers cost, for an agent that limits its cost."""
    knowledge: tuple[KnowledgeVersion, ...] = ()
    max_duration_seconds: Annotated[int, Field(ge=1)] = 3600
    participant_identity: str = ""
    """Whom the agent listens to in the room."""
    transcript: tuple[Utterance, ...] = ()
    """What earlier attempts heard and said; empty for a new call."""
    functions: tuple[FunctionRun, ...] = ()
    """What earlier attempts ran, so that nothing is run twice."""
    steered: tuple[Action, ...] = ()
    """What earlier attempts were told from outside, in order."""
    reception: Reception | None = None
    """Of a call that comes in, or that tries out a trunk; for its first attempt."""
    queue: Queue | None = None
    """Of a call that comes in while no line is free, until an attempt has begun to listen."""
    started_at: AwareDatetime | None = None
    """When the first attempt began to listen: limits of duration count from there."""
    used: dict[str, FiniteFloat] = Field(default_factory=dict)
    """What earlier attempts used, as in `CallEnded`: limits of tokens and cost count it, too."""


class JobMetadata(Message):
    """What a LiveKit dispatch carries. A token's holder can read it, so nothing secret is here."""

    call_id: str
    attempt: Annotated[int, Field(ge=0)] = 0
    """Which attempt this is for; 0 in a token, whose room may be made a second time."""
