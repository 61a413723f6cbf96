"""What an agent's owner wants done after a call, where a condition holds: each at most once for a call."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession

from api.agents.fields import PostCallAction
from api.calls.table import CallActionRow, CallRow
from api.contacts import service as contacts
from api.db.inserts import insert_new
from api.durable import letters
from api.outside.mail import Letter
from api.webhooks import service as webhooks
from pipelines.conditions import BadCondition, read
from pipelines.extraction import Analysis

Doer = Callable[[AsyncSession, CallRow, PostCallAction, int, Analysis], Awaitable[str]]
"""Arranges an action in this transaction; returns why not, else nothing. May be asked twice."""

ELSEWHERE: dict[str, Doer] = {}
"""Actions of resources that stand above calls; `api.work` puts them here."""

_DONE_HERE = frozenset({"tag_contact", "schedule_call"})
"""Actions that are over when their row is committed; of the others their delivery says more."""

_LOG = logging.getLogger(__name__)


async def take(
    session: AsyncSession, call: CallRow, wanted: list[PostCallAction], analysis: Analysis
) -> None:
    """Do each action whose condition holds; a row for each says what became of it. Again, it does nothing."""
    facts = facts_of(call, analysis)
    for number, action in enumerate(wanted, 1):
        row = CallActionRow(call_id=call.id, number=number, type=action.type, name=action.name or "")
        try:
            row.outcome = "asked" if read(action.condition).holds(facts) else "skipped"
        except BadCondition as error:
            row.outcome, row.detail = "failed", str(error)[:500]
        if not await insert_new(session, CallActionRow, [row]):
            continue
        if row.outcome == "asked":
            kept = await session.get_one(CallActionRow, (call.id, number))
            kept.detail = await _do(session, call, action, number, analysis)
            if kept.detail:
                kept.outcome = "failed"
            elif action.type in _DONE_HERE:
                kept.outcome = "done"


def facts_of(call: CallRow, analysis: Analysis) -> dict[str, Any]:
    """What a condition may ask of: the owner's own fields first, then ours."""
    return {
        "call_status": call.status,
        "disconnection_reason": call.disconnection_reason,
        "duration_seconds": (call.duration_ms or 0) / 1000,
        "call_successful": analysis.call_successful,
        "call_summary": analysis.call_summary,
        "user_sentiment": analysis.user_sentiment,
        "from_number": call.from_number,
        "to_number": call.to_number,
        **analysis.custom_analysis_data,
    }


async def _do(
    session: AsyncSession, call: CallRow, action: PostCallAction, number: int, analysis: Analysis
) -> str:
    """Arrange it in this transaction; returns why not, where that is impossible."""
    match action.type:
        case "webhook":
            return await _webhook(session, call, action, number, analysis)
        case "email":
            return await _email(session, call, action, number, analysis)
        case "tag_contact":
            return await _tag(session, call, action, analysis)
        case kind if kind in ELSEWHERE:
            return await ELSEWHERE[kind](session, call, action, number, analysis)
        case _:
            return f"{action.type} is not available on this installation"


async def _tag(session: AsyncSession, call: CallRow, action: PostCallAction, analysis: Analysis) -> str:
    """Tag whom the call was with: `tag`, `tags`, and what was found out for `use_field`."""
    config = action.config
    listed = config.get("tags")
    wanted = [config.get("tag"), *(listed if isinstance(listed, list) else [listed])]
    if isinstance(name := config.get("use_field"), str):
        wanted.append(analysis.custom_analysis_data.get(name))
    tags = [text for one in wanted if isinstance(one, str) and (text := " ".join(one.split())[:50])]
    if not tags:
        return "the action has no tag"
    return await contacts.tag_of_call(session, call.owner_id, call.contact_id, call.other_number, tags)


async def _webhook(
    session: AsyncSession, call: CallRow, action: PostCallAction, number: int, analysis: Analysis
) -> str:
    url = action.config.get("url")
    if not isinstance(url, str) or not url:
        return "the action has no url"
    await webhooks.default_of(session, call.owner_id)  # its secret signs
    await webhooks.queue(
        session,
        call.owner_id,
        "call.action",
        f"{call.id}:action:{number}",
        {
            "action": action.name or "",
            "status": call.status,
            "extracted": analysis.custom_analysis_data,
            "call_analysis": analysis.model_dump(mode="json"),
            "config": {name: value for name, value in action.config.items() if name != "url"},
        },
        [(f"action:{number}", url)],
        call_id=call.id,
        agent_id=call.agent_id,
    )
    return ""


async def _email(
    session: AsyncSession, call: CallRow, action: PostCallAction, number: int, analysis: Analysis
) -> str:
    to = action.config.get("to")
    if not isinstance(to, str) or "@" not in to:
        return "the action has no address to write to"
    fields = "\n".join(f"{name}: {value}" for name, value in analysis.custom_analysis_data.items())
    subject = str(action.config.get("subject") or action.name or "After a call")
    letter = Letter(
        to=to,
        subject=" ".join(subject.split())[:150],
        text=f"{analysis.call_summary}\n\n{fields}\n\nCall {call.id}, {call.status}.\n",
        letter_id=f"action-{call.id}-{number}",
    )
    await letters.write(session, letter)
    return ""
