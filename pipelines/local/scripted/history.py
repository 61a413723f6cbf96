"""A chat context as the dialog sees it: who said what, which functions ran, what is known."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any

from livekit.agents import llm

from pipelines.local.scripted import PASSAGES


@dataclass(frozen=True, slots=True)
class Heard:
    """A caller's turn."""

    text: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Said:
    """What of an agent's turn reached the caller's ear."""

    text: str
    was_interrupted: bool


@dataclass(frozen=True, slots=True)
class Ran:
    """A function was called. `output` is None while it runs."""

    name: str
    output: str | None
    is_error: bool = False


Event = Heard | Said | Ran


@dataclass(frozen=True, slots=True)
class History:
    """Everything that one reply depends on."""

    instructions: str
    passages: tuple[Mapping[str, Any], ...]
    events: tuple[Event, ...]


def read(chat_ctx: llm.ChatContext, timezone: tzinfo | None) -> History:
    """The parts of a context, in order. Messages of the system after the first are for language models."""
    instructions: list[str] = []
    passages: list[Mapping[str, Any]] = []
    events: list[Event] = []
    outputs = {item.call_id: item for item in chat_ctx.items if item.type == "function_call_output"}
    for item in chat_ctx.items:
        if item.type == "message":
            if item.role in ("system", "developer"):
                if PASSAGES in item.extra:
                    passages.extend(_mappings(item.extra[PASSAGES]))
                elif not events:
                    instructions.append(item.raw_text_content or "")
            elif item.role == "user" and (text := (item.text_content or "").strip()):
                events.append(Heard(text, datetime.fromtimestamp(item.created_at, timezone)))
            elif item.role == "assistant":
                events.append(Said((item.text_content or "").strip(), item.interrupted))
        elif item.type == "function_call":
            output = outputs.get(item.call_id)
            events.append(Ran(item.name, output.output if output else None, bool(output and output.is_error)))
    return History("\n".join(instructions), tuple(passages), tuple(events))


def _mappings(value: Any) -> Iterable[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list | tuple) else []
