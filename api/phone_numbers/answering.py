"""Who answers a number: its owner's rules, read from top to bottom.

caller ─► barred? ─► pre-call webhook ─► rules, the first that fits ─► open? ─► menu ─► the number's agent
            │             └─ none, late, or no opinion ─┘               └─ closed: what `closed` says
            └─ 603
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, field_validator, model_validator

from api.hours import DAYS, CallingHours
from api.http.wire import Wire
from api.telephone import E164, TimeZone
from pipelines.contract.brief import MenuChoice, Reception

MOST_RULES = 20
MOST_BLOCKED = 1000
_LAST_MINUTE = time(23, 59)
"""A window that ends here ends with the day."""
_BEGINNING = re.compile(r"\+[1-9]\d{0,14}\*?")


def _as_beginning(text: str) -> str:
    plain = text.replace(" ", "")
    if _BEGINNING.fullmatch(plain) is None:
        raise ValueError("Not a number like +14155550123, nor a beginning like +1900*.")
    return plain


Caller = Annotated[str, Field(max_length=30), AfterValidator(_as_beginning)]
"""A number in E.164, or how numbers begin: `+1900*`."""
AgentId = Annotated[str, Field(min_length=1, max_length=50)]


class OpenHours(Wire):
    """When somebody is there. Across midnight: two windows."""

    timezone: TimeZone
    windows: Annotated[list[CallingHours], Field(min_length=1, max_length=21)]
    closed_on: Annotated[list[date], Field(max_length=366)] = Field(default_factory=list)
    """Days on which nobody is, on that clock."""

    def holds(self, at: datetime) -> bool:
        """Whether it is within these hours."""
        there = at.astimezone(ZoneInfo(self.timezone))
        if there.date() in self.closed_on:
            return False
        day, clock = DAYS[there.weekday()], there.time()
        return any(
            day in one.weekdays and one.start <= clock and (clock < one.end or one.end >= _LAST_MINUTE)
            for one in self.windows
        )


class Destination(Wire):
    """Where a call goes: to an agent, first to a person's telephone, or nowhere."""

    agent_id: AgentId | None = None
    forward_to: E164 | None = None
    """Rung first. When nobody answers there, the agent does: the one named here, else the number's."""
    refuse: bool = False

    @model_validator(mode="after")
    def _says_something(self) -> "Destination":
        if self.refuse == bool(self.agent_id or self.forward_to):
            raise ValueError("Name agent_id or forward_to, or set refuse.")
        return self


class Rule(Wire):
    """Calls of these hours, of these callers, go there; what is left out is any."""

    hours: OpenHours | None = None
    callers: Annotated[list[Caller], Field(max_length=100)] = Field(default_factory=list)
    to: Destination

    def holds(self, caller: str, at: datetime) -> bool:
        """Whether a call is one of these."""
        if self.callers and not matches(self.callers, caller):
            return False
        return self.hours is None or self.hours.holds(at)


class Choice(Wire):
    """One key of a menu."""

    key: Literal["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "*", "#"]
    label: Annotated[str, Field(max_length=100)] = ""
    """For the record of the call."""
    agent_id: AgentId | None = None
    forward_to: E164 | None = None

    @model_validator(mode="after")
    def _one_place(self) -> "Choice":
        if (self.agent_id is None) == (self.forward_to is None):
            raise ValueError("Name either agent_id or forward_to.")
        return self


class Menu(Wire):
    """What a caller hears first; who presses no key of it gets the number's agent."""

    say: Annotated[str, Field(min_length=1, max_length=1000)]
    choices: Annotated[list[Choice], Field(min_length=1, max_length=12)]

    @field_validator("choices")
    @classmethod
    def _once(cls, choices: list[Choice]) -> list[Choice]:
        if len({one.key for one in choices}) != len(choices):
            raise ValueError("Each key can be named once.")
        return choices


class CallersQueue(Wire):
    """How callers wait for whom no line is free."""

    most: Annotated[int, Field(ge=1, le=100)] = 20
    """More are not taken into it."""
    longest_seconds: Annotated[int, Field(ge=10, le=3600)] = 600
    every_seconds: Annotated[int, Field(ge=10, le=600)] = 30
    """How often they are told their place, besides whenever it changes."""
    answers: bool = True
    """False: they hear music and place before the call is answered, as early media."""
    then: Literal["refuse", "callback"] = "refuse"
    """With the queue full, or after `longest_seconds`: `callback` notes them, as `when_busy` does, and is
    offered while they wait."""


class Answering(Wire):
    """How calls to a number are answered. All of it may be left out: then its agent answers."""

    blocked: Annotated[list[Caller], Field(max_length=MOST_BLOCKED)] = Field(default_factory=list)
    """Who is refused."""
    blocks_anonymous: bool = False
    """Refuse callers who hide their number."""
    most_calls_per_caller: Annotated[int, Field(ge=1, le=1000)] | None = None
    """Within five minutes; more are refused."""
    webhook_url: Annotated[str, Field(max_length=2000)] | None = None
    """Asked before a call is answered; has 1.5 s. It may choose the agent, add variables, or refuse."""
    rules: Annotated[list[Rule], Field(max_length=MOST_RULES)] = Field(default_factory=list)
    hours: OpenHours | None = None
    closed: Destination | None = None
    """Outside the hours; left out, the call is refused."""
    menu: Menu | None = None
    fallback_agent_id: AgentId | None = None
    """Answers where the number's agent is gone."""
    fallback_number: E164 | None = None
    """Rung instead where no agent is there, no line is free, or it is outside the hours and `closed` is left
    out."""
    when_busy: Literal["refuse", "callback", "queue"] = "refuse"
    """With no line free: `callback` notes the caller for a call back, for somebody to look at; `queue` lets
    them wait."""
    queue: CallersQueue | None = None
    """For `queue`; left out, as it is without more."""

    @property
    def waits(self) -> CallersQueue | None:
        """How callers wait; None where they do not."""
        return (self.queue or CallersQueue()) if self.when_busy == "queue" else None

    @property
    def calls_back(self) -> bool:
        """Whether somebody for whom no line is free is noted."""
        then = self.waits.then if self.waits is not None else self.when_busy
        return then == "callback"

    def agents(self) -> list[tuple[str, str]]:
        """Every agent that is named, and where."""
        named: list[tuple[str, str | None]] = [("fallback_agent_id", self.fallback_agent_id)]
        named += [("closed", self.closed.agent_id if self.closed else None)]
        named += [("rules", rule.to.agent_id) for rule in self.rules]
        named += [("menu", choice.agent_id) for choice in self.menu.choices] if self.menu else []
        return [(where, agent_id) for where, agent_id in named if agent_id is not None]


class Advice(Wire):
    """What a pre-call webhook may answer; an empty body has no opinion."""

    agent_id: AgentId | None = None
    forward_to: E164 | None = None
    refuse: bool = False
    variables: Annotated[
        dict[Annotated[str, Field(max_length=100)], Annotated[str, Field(max_length=2000)]],
        Field(max_length=100),
    ] = Field(default_factory=dict)


@dataclass(frozen=True)
class Decided:
    """What becomes of a call. `agent_ids`: who may answer, the first that is there."""

    agent_ids: tuple[str, ...] = ()
    reception: Reception | None = None
    is_refused: bool = False
    falls_back: bool = False
    """No agent: `fallback_number` is rung."""


def is_blocked(rules: Answering, caller: str) -> bool:
    """Whether a caller is refused for who they are. `caller`: E.164, or empty for one that is hidden."""
    return rules.blocks_anonymous if not caller else matches(rules.blocked, caller)


def matches(callers: Sequence[str], number: str) -> bool:
    """Whether a number is one of these, or begins like one of them."""
    return any(number.startswith(one[:-1]) if one.endswith("*") else number == one for one in callers)


def decide(rules: Answering, agent_id: str | None, caller: str, at: datetime, advice: Advice) -> Decided:
    """Where a call to a number goes, whose own agent is `agent_id`."""
    own = tuple(one for one in (agent_id, rules.fallback_agent_id) if one is not None)
    if advice.refuse:
        return Decided(is_refused=True)
    if advice.agent_id is not None or advice.forward_to is not None:
        return _to(Destination(agent_id=advice.agent_id, forward_to=advice.forward_to), own)
    for rule in rules.rules:
        if rule.holds(caller, at):
            return _to(rule.to, own)
    if rules.hours is not None and not rules.hours.holds(at):
        return _closed(rules, own)
    if rules.menu is None:
        return Decided(own)
    choices = tuple(
        MenuChoice(
            key=one.key,
            label=one.label,
            kind="agent" if one.agent_id is not None else "phone",
            value=one.agent_id or one.forward_to or "",
        )
        for one in rules.menu.choices
    )
    return Decided(own, Reception(say=rules.menu.say, choices=choices))


def _closed(rules: Answering, own: tuple[str, ...]) -> Decided:
    if rules.closed is not None:
        return _to(rules.closed, own)
    return Decided(is_refused=rules.fallback_number is None, falls_back=True)


def _to(destination: Destination, own: tuple[str, ...]) -> Decided:
    if destination.refuse:
        return Decided(is_refused=True)
    agents = (destination.agent_id, *own) if destination.agent_id is not None else own
    reception = Reception(forward_to=destination.forward_to) if destination.forward_to is not None else None
    return Decided(tuple(dict.fromkeys(agents)), reception)
