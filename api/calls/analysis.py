"""What a call was about: found out once, by a model where there is one, else by the rules of its record."""

import logging
from dataclasses import dataclass

import aiohttp
from sqlmodel.ext.asyncio.session import AsyncSession

from api.agents import service as agents
from api.agents.fields import BuiltinEngine
from api.calls import actions, outbox
from api.calls.settlement import events_of
from api.calls.table import CallAnalysisRow, CallRow
from api.db.columns import now
from api.db.engine import Database
from api.notifications import service as notifications
from api.notifications.texts import NOWHERE, Ends
from api.settings import LanguageModel
from pipelines.contract.events import FunctionCalled, UtteranceHeard
from pipelines.extraction import Analysis, Model, NotAnalysed, Spent, Talk, Wanted, by_model, by_rules

_LOG = logging.getLogger(__name__)

OPENAI = "https://api.openai.com/v1"
MAX_ASKED = 2
"""Requests to a model for one call, those included whose answer died with the process."""


@dataclass(frozen=True)
class _Known:
    talk: Talk
    model: Model | None
    asked: int


async def analyse(database: Database, configured: LanguageModel, call_id: str) -> None:
    """Write what a call was about, unless that is known. Never raises for what a model does.

    Each request to a model is counted before it is made, so that a process that dies again and again
    pays at most `MAX_ASKED` times.
    """
    known = await _claim(database, configured, call_id)
    if known is None:
        return
    asked, failure = known.asked, ""
    while known.model is not None and asked < MAX_ASKED:
        asked += 1
        await _count(database, call_id, asked)
        try:
            async with aiohttp.ClientSession(trust_env=False) as http:
                analysis, spent = await by_model(known.talk, known.model, http)
        except NotAnalysed as error:
            failure = str(error)
            _LOG.warning("a call was not analysed by its model", extra={"call_id": call_id})
        else:
            await _keep(database, call_id, analysis, spent, "")
            return
    await _keep(database, call_id, by_rules(known.talk), Spent(), failure)


async def again(session: AsyncSession, call: CallRow) -> int:
    """Have a call analysed anew; returns which time that is. What is known stays until then."""
    row = await session.get(CallAnalysisRow, call.id, with_for_update=True)
    if row is None:
        row = CallAnalysisRow(call_id=call.id)
    elif not row.is_pending:
        row.generation += 1
        row.is_pending, row.asked = True, 0
    row.updated_at = now()
    session.add(row)
    return row.generation


async def of_call(session: AsyncSession, call_id: str) -> Analysis | None:
    """What is known by now."""
    row = await session.get(CallAnalysisRow, call_id)
    return None if row is None or row.analysis is None else Analysis.model_validate(row.analysis)


async def _claim(database: Database, configured: LanguageModel, call_id: str) -> _Known | None:
    async with database.transaction() as session:
        call = await session.get(CallRow, call_id, with_for_update=True)
        if call is None or not call.is_over:
            return None
        row = await session.get(CallAnalysisRow, call_id)
        if row is not None and not row.is_pending:
            return None
        if row is None:
            row = CallAnalysisRow(call_id=call_id)
            session.add(row)
        talk, name = await _talk(session, call)
        has_words = any(utterance.role == "user" for utterance in talk.utterances)
        model = _model(configured, name) if has_words else None
        return _Known(talk, model, row.asked)


async def _talk(session: AsyncSession, call: CallRow) -> tuple[Talk, str]:
    """The call as it was, and the model that its agent's owner wants it read by."""
    events = await events_of(session, call.id)
    wanted: list[Wanted] = []
    language, instructions, name = "en-US", "", ""
    try:
        asked = agents.settings_of(await agents.of_owner(session, call.owner_id, call.agent_id or ""))
    except agents.AgentNotFound:
        pass  # what nobody asks for any more is not looked for
    else:
        wanted = [Wanted(**field.model_dump()) for field in asked.post_call_extraction or ()]
        language, name = asked.language, asked.post_call_extraction_model or ""
        if isinstance(asked.response_engine, BuiltinEngine):
            instructions = asked.response_engine.system_prompt
    talk = Talk(
        utterances=[event.utterance for event in events if isinstance(event, UtteranceHeard)],
        functions=[event for event in events if isinstance(event, FunctionCalled)],
        status=call.status,
        reason=call.disconnection_reason or "",
        duration_seconds=(call.duration_ms or 0) / 1000,
        language=language,
        instructions=instructions,
        wanted=wanted,
    )
    return talk, name


def _model(configured: LanguageModel, asked: str) -> Model | None:
    if not configured.is_there:
        return None
    # A server of one's own has models of its own names.
    name = configured.name or asked or "gpt-4o-mini"
    return Model(configured.base_url or OPENAI, name, configured.key)


async def _count(database: Database, call_id: str, asked: int) -> None:
    async with database.transaction() as session:
        if (row := await session.get(CallAnalysisRow, call_id)) is not None:
            row.asked, row.updated_at = asked, now()
            session.add(row)


async def _keep(database: Database, call_id: str, analysis: Analysis, spent: Spent, failure: str) -> None:
    """Write it down, and with it all that follows from it: what is told, and what is done."""
    async with database.transaction() as session:
        call = await session.get(CallRow, call_id, with_for_update=True)
        row = await session.get(CallAnalysisRow, call_id, with_for_update=True)
        if call is None or row is None or not row.is_pending:
            return  # the call was deleted meanwhile, or another process was sooner
        row.analysis = analysis.model_dump(mode="json")
        row.is_pending = False
        row.failure = failure[:500] or None
        row.input_tokens += spent.input_tokens
        row.output_tokens += spent.output_tokens
        row.updated_at = now()
        session.add(row)
        await outbox.concluded(session, call, analysis)
        await notifications.notify(
            session,
            owner_id=call.owner_id,
            agent_id=call.agent_id,
            trigger="call_ended",
            cause=call.id,
            facts={"call_id": call.id, **actions.facts_of(call, analysis)},
            ends=_ends(call),
        )
        try:
            agent = await agents.of_owner(session, call.owner_id, call.agent_id or "")
        except agents.AgentNotFound:
            return  # nobody wants anything done any more
        await actions.take(session, call, agents.settings_of(agent).post_call_actions or [], analysis)


def _ends(call: CallRow) -> Ends:
    """Of a call that came from a browser no telephone is the other end, whatever it shows."""
    match call.direction:
        case "inbound":
            return Ends(call.to_number, call.from_number)
        case "outbound":
            return Ends(call.from_number, call.to_number)
        case _:
            return NOWHERE
