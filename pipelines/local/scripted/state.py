"""Where a conversation stands: immutable, made anew for each turn out of what was said."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from rapidfuzz import fuzz

from kb.words import fold
from pipelines.local.scripted.facts import Fact
from pipelines.local.scripted.history import Ran, Said
from pipelines.local.scripted.questions import Question
from pipelines.local.scripted.slots import Value


@dataclass(frozen=True, slots=True)
class Form:
    """A function that is being filled in.

    `question` is what the caller was last asked. `is_read_back` becomes true when the caller has heard
    all values; only then does a yes run a function that changes something.
    """

    function: str
    values: Mapping[str, Value] = field(default_factory=dict)
    asking: str | None = None
    stage: Literal["asking", "confirming", "changing"] = "asking"
    question: str = ""
    is_read_back: bool = False
    failures: int = 0


@dataclass(frozen=True, slots=True)
class Call:
    """A function to run now."""

    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Reply:
    """What to say, what to run, or both: first the one, then the other."""

    text: str = ""
    call: Call | None = None


@dataclass(frozen=True, slots=True)
class State:
    """All that a turn needs to know of the turns before it."""

    form: Form | None = None
    topic: Question | None = None
    seen: tuple[Fact, ...] = ()
    last_reply: str = ""
    misses: int = 0

    def after_saying(self, said: Said) -> "State":
        """The same, now that this much of a reply was heard."""
        last_reply = self.last_reply if said.was_interrupted and self.last_reply else said.text
        state = replace(self, last_reply=last_reply)
        if self.form is None:
            return state
        heard = fold(said.text)
        if self.form.stage == "confirming":
            values = [fold(value.spoken) for value in self.form.values.values()]
            if not said.was_interrupted or all(value in heard for value in values):
                state = replace(state, form=replace(self.form, is_read_back=True))
        # Something else was said than this form would have asked: it was never open.
        asked = fold(self.form.question)
        if not said.was_interrupted and asked and fuzz.partial_ratio(asked, heard) < 75:
            return replace(state, form=None)
        return state

    def after_running(self, ran: Ran) -> "State":
        """The same, now that a function ran: whatever was being filled in is over."""
        return replace(self, form=None) if self.form is None or self.form.function == ran.name else self
