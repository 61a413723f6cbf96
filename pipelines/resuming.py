"""How a call goes on whose process died: what is said first, and what the new process knows of the old.

old   …caller asks▁▁▁ answer▁✗
new                            "Sorry, I was cut off for a moment."  answer, from its beginning
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from livekit.agents import llm

from pipelines.contract.actions import Action, GiveBack, Hold, TakeOver
from pipelines.contract.brief import CallBrief, FunctionRun
from pipelines.phrases import phrase
from pipelines.transcript import Utterance

INTERRUPTED = (
    "interrupted: the line broke while this ran. It may or may not have taken effect. Do not call it again "
    "before the person has confirmed that they want that."
)
"""The result of a function that was under way, as the language model reads it."""


def is_resumed(brief: CallBrief) -> bool:
    """True when somebody has said something in an earlier attempt; before that, a call just begins."""
    return brief.attempt > 1 and bool(brief.transcript)


def words(brief: CallBrief) -> str:
    """One short sentence to begin with, and an invitation to go on where no answer follows."""
    language = brief.agent.language
    if last_take_over(brief.steered) is not None:
        return ""
    if is_on_hold(brief):  # heard when the hold ends: nobody has noticed that a process died
        return "" if owes_answer(brief) else phrase("go_on", language)
    sorry = phrase("cut_off", language)
    return sorry if owes_answer(brief) else f"{sorry} {phrase('go_on', language)}"


def is_on_hold(brief: CallBrief) -> bool:
    """Whether our side holds the call still."""
    held = last_hold(brief.steered)
    return held is not None and held.is_on and held.until is not None and held.until > datetime.now(UTC)


def last_take_over(actions: Sequence[Action]) -> TakeOver | None:
    """Who talks in the agent's place, if anybody does."""
    turns = [action for action in actions if isinstance(action, TakeOver | GiveBack)]
    return turns[-1] if turns and isinstance(turns[-1], TakeOver) else None


def last_hold(actions: Sequence[Action]) -> Hold | None:
    """The last thing that was done about holding, by our side."""
    holds = [action for action in actions if isinstance(action, Hold) and action.by != "caller"]
    return holds[-1] if holds else None


def owes_answer(brief: CallBrief) -> bool:
    """Whether the person spoke last, or waits for what a function was to bring."""
    if last_take_over(brief.steered) is not None:
        return False
    last = max(brief.transcript, key=lambda said: said.started_at, default=None)
    if last is None or last.role == "user":
        return last is not None
    return any(run.is_interrupted and run.started_at > last.started_at for run in brief.functions)


def context(brief: CallBrief) -> llm.ChatContext:
    """What was said and run before, in the order in which it happened."""
    made = llm.ChatContext.empty()
    happened: Sequence[Utterance | FunctionRun] = sorted(
        [*brief.transcript, *brief.functions], key=lambda one: one.started_at
    )
    for one in happened:
        if isinstance(one, Utterance):
            made.add_message(
                role="user" if one.role == "user" else "assistant",
                content=one.text,
                interrupted=one.was_interrupted,
                created_at=one.started_at.timestamp(),
            )
        else:
            made.insert(_as_items(one))
    return made


def _as_items(run: FunctionRun) -> list[Any]:
    at = run.started_at.timestamp()
    told = INTERRUPTED if run.is_interrupted else run.result if run.error is None else run.error
    return [
        llm.FunctionCall(
            call_id=run.function_call_id,
            name=run.name,
            arguments=json.dumps(run.arguments, ensure_ascii=False),
            created_at=at,
        ),
        llm.FunctionCallOutput(
            call_id=run.function_call_id,
            name=run.name,
            output=told or "",
            is_error=run.result is None,
            created_at=at,
        ),
    ]
