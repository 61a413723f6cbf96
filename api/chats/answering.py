"""One message: written down before anybody thinks about it, and answered once.

begin ──► answering ─┬─ finish ──► answered
             ▲       └─ lose ────► lost ─┐
             └──── sent once more ───────┘
"""

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from api.agents import service as agents
from api.agents.table import AgentRow
from api.chats import service
from api.chats.schemas import MessageCreate
from api.chats.table import ChatFunctionRow, ChatMessageRow, ChatRow
from api.db.columns import new_id, now
from api.http.callers import Caller
from api.http.errors import Conflict
from api.knowledge_base import versions
from api.settings import Settings
from api.users import service as users
from api.wallet import chat_charges
from api.wallet import rates as price_list
from pipelines.contract.brief import CallBrief, FunctionRun
from pipelines.costs import Engines, Prices, UsedInCall, split
from pipelines.text_link import Began, Ended, GoOn, Used
from pipelines.transcript import Utterance

LEASE_SECONDS = 6.0
"""A process that has not renewed its claim for this long does not answer any more."""
MAX_MESSAGES = 1000
MAX_TOLD = 80
_TITLE = 60
_INTERRUPTED = (
    "This was begun before, and nobody knows whether it took effect. Do not call it again before the person "
    "has confirmed that they want that."
)


class ChatBusy(Conflict):
    """The agent is still answering the message before: wait for its answer"""


class ChatArchived(Conflict):
    """This chat is archived: set its status to active to go on with it"""


class ChatFull(Conflict):
    """This chat has as many messages as a chat may have: begin a new one"""


class AgentGone(Conflict):
    """The agent of this chat was deleted: begin a new chat"""


class TooLate(Exception):
    """Another attempt answers this message, or nobody may"""


@dataclass(frozen=True)
class Asked:
    """A message that is written down, and all that its answer needs."""

    attempt: str
    chat_id: str
    message_id: str
    brief: CallBrief
    words: str
    """Empty where the brief's transcript ends with the message: it was sent before, and work was done."""


async def begin(
    session: AsyncSession, caller: Caller, chat_id: str, sent: MessageCreate, settings: Settings
) -> Asked:
    """Write a message down, and hold back its price. One whose answer was lost is not written a second time.

    Raises `InsufficientBalance` where its owner cannot pay for an answer.
    """
    chat = await service.get(session, caller, chat_id, locks=True)
    if chat.status != "active":
        raise ChatArchived
    if chat.is_answering:
        raise ChatBusy(headers={"Retry-After": "2"})
    if chat.message_count >= MAX_MESSAGES:
        raise ChatFull
    try:
        agent = await agents.get(session, caller, chat.agent_id or "")
    except agents.AgentNotFound:
        raise AgentGone from None
    written = await service.messages_of(session, chat.id, MAX_TOLD + 1)
    last = written[-1] if written else None
    ran = await service.functions_of(session, chat.id, MAX_TOLD)
    if last is not None and last.role == "user" and last.content == sent.content:
        message = last
        has_run = any(run.message_id == last.id for run in ran)
    else:
        message = ChatMessageRow(
            chat_id=chat.id, number=chat.message_count + 1, role="user", content=sent.content, status=""
        )
        has_run = False
        chat.message_count += 1
        written.append(message)
        if last is not None and last.status == "answering":
            last.status = "lost"  # its process died and could not say so
            session.add(last)
    message.status = "answering"
    chat.attempt, chat.attempt_until = new_id("attempt", 16), now() + timedelta(seconds=LEASE_SECONDS)
    chat.title = chat.title or " ".join(sent.content.split())[:_TITLE]
    chat.updated_at = now()
    session.add_all([chat, message])
    await session.flush()
    rates = price_list.load(settings.rates)
    is_billed = settings.is_billing  # where this server pays, nobody earns by it
    tenant = await users.tenant_of(session, chat.owner_id) if is_billed else None
    await chat_charges.hold(session, message.id, chat.owner_id, rates, is_billed=is_billed, tenant=tenant)
    told = written if has_run else written[:-1]
    model = sent.model if caller.end_user is None else None  # which one they pay for, owners decide
    brief = await _brief(session, chat, agent, told, ran, model)
    return Asked(chat.attempt, chat.id, message.id, brief, "" if has_run else sent.content)


async def _brief(
    session: AsyncSession,
    chat: ChatRow,
    agent: AgentRow,
    told: list[ChatMessageRow],
    ran: list[ChatFunctionRow],
    model: str | None,
) -> CallBrief:
    config = agents.to_config(agent)
    if model:
        config = config.model_copy(update={"engine": config.engine.model_copy(update={"model": model})})
    bases = agents.settings_of(agent).knowledge_base_ids or ()
    return CallBrief(
        call_id=chat.id,
        agent=config,
        variables=_variables(chat.extra or {}),
        knowledge=await versions.versions(session, chat.owner_id, bases),
        transcript=tuple(
            Utterance(
                utterance_id=row.id,
                role="user" if row.role == "user" else "agent",
                text=row.content,
                started_at=row.created_at,
                ended_at=row.created_at,
                is_typed=True,
            )
            for row in told[-MAX_TOLD:]
        ),
        functions=tuple(
            FunctionRun(
                function_call_id=run.id,
                name=run.name,
                arguments=run.arguments,
                result=run.result,
                error=run.error,
                started_at=run.started_at,
            )
            for run in ran
        ),
        started_at=chat.created_at,
    )


def _variables(metadata: dict[str, Any]) -> dict[str, str]:
    return {
        name[:100]: str(value)[:2000]
        for name, value in metadata.items()
        if isinstance(value, str | int | float) and not isinstance(value, bool)
    }


async def renew(session: AsyncSession, asked: Asked) -> None:
    """Say that this attempt lives."""
    await session.exec(
        update(ChatRow)
        .where(col(ChatRow.id) == asked.chat_id, col(ChatRow.attempt) == asked.attempt)
        .values(attempt_until=now() + timedelta(seconds=LEASE_SECONDS))
    )


async def function_begins(session: AsyncSession, asked: Asked, began: Began) -> GoOn:
    """Write down that a function runs; say that it must not where an attempt before this one ran it."""
    await _own(session, asked)
    found = await session.exec(
        select(ChatFunctionRow)
        .where(ChatFunctionRow.message_id == asked.message_id, ChatFunctionRow.name == began.name)
        .order_by(col(ChatFunctionRow.started_at))
    )
    before = [
        run
        for run in found.all()
        if run.attempt != asked.attempt and _same(run.arguments, began.arguments) and run.error is None
    ]
    told = {"turn_id": began.turn_id, "function_call_id": began.function_call_id}
    if before:
        is_known = before[-1].result is not None
        return GoOn(**told, result=before[-1].result, refusal=None if is_known else _INTERRUPTED)
    session.add(
        ChatFunctionRow(
            chat_id=asked.chat_id,
            message_id=asked.message_id,
            attempt=asked.attempt,
            function_call_id=began.function_call_id,
            name=began.name,
            arguments=began.arguments,
        )
    )
    return GoOn(**told)


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


async def function_ended(session: AsyncSession, asked: Asked, used: Used) -> None:
    """Write down what came of it."""
    await session.exec(
        update(ChatFunctionRow)
        .where(
            col(ChatFunctionRow.attempt) == asked.attempt,
            col(ChatFunctionRow.function_call_id) == used.function_call_id,
        )
        .values(result=used.result, error=used.error)
    )


async def finish(
    session: AsyncSession, asked: Asked, ended: Ended, prices: Prices
) -> tuple[ChatMessageRow, ChatMessageRow, list[ChatFunctionRow]]:
    """Write the answer down: the message, its answer, and what ran for it."""
    chat, message = await _own(session, asked)
    cost = _cost(ended, prices)
    answer = ChatMessageRow(
        chat_id=chat.id,
        number=chat.message_count + 1,
        role="assistant",
        content=ended.text,
        status="failed" if ended.error else "complete",
        answers=message.id,
        model=ended.engine or None,
        tokens_input=ended.input_tokens,
        tokens_output=ended.output_tokens,
        cost_usd=cost,
    )
    message.status = "answered"
    chat.message_count += 1
    chat.total_tokens += (ended.input_tokens or 0) + (ended.output_tokens or 0)
    is_known = chat.total_cost_usd is not None and cost is not None
    chat.total_cost_usd = round((chat.total_cost_usd or 0) + (cost or 0), 6) if is_known else None
    chat.attempt = chat.attempt_until = None
    chat.updated_at = now()
    session.add_all([chat, message, answer])
    await session.flush()
    if ended.error:
        await chat_charges.let_go(session, message.id)  # an apology costs nothing
    else:
        await chat_charges.charge(
            session,
            message.id,
            owner_id=chat.owner_id,
            chat_id=chat.id,
            agent_id=chat.agent_id,
            model=ended.engine,
            tokens=(ended.input_tokens or 0, ended.output_tokens or 0),
            provider_usd=cost,
        )
    ran = [run for run in await service.functions_of(session, chat.id) if run.message_id == message.id]
    return message, answer, ran


def _cost(ended: Ended, prices: Prices) -> float | None:
    if ended.input_tokens is None or ended.output_tokens is None:
        return None
    used = UsedInCall(llm_input_tokens=ended.input_tokens, llm_output_tokens=ended.output_tokens)
    return split(used, Engines("", ended.engine, ""), prices).llm_usd


async def lose(session: AsyncSession, asked: Asked) -> None:
    """There will be no answer: the message may be sent again at once."""
    chat, message = await _own(session, asked)
    message.status = "lost"
    chat.attempt = chat.attempt_until = None
    session.add_all([chat, message])
    await chat_charges.let_go(session, message.id)


async def _own(session: AsyncSession, asked: Asked) -> tuple[ChatRow, ChatMessageRow]:
    """The chat and the message, locked; raises `TooLate` where this attempt is not the one that counts."""
    chat = await session.get(ChatRow, asked.chat_id, with_for_update=True)
    message = await session.get(ChatMessageRow, asked.message_id)
    if chat is None or message is None or chat.attempt != asked.attempt:
        raise TooLate
    return chat, message
