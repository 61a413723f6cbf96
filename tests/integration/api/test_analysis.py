"""What a call was about: found out once, paid for at most twice, and never guessed."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import aiohttp
import pytest

from api.agents.table import AgentRow
from api.calls import analysis
from api.calls.table import CallAnalysisRow, CallEventRow, CallRow
from api.db.columns import now
from api.db.engine import Database
from api.settings import LanguageModel
from api.users.table import UserRow
from pipelines import extraction
from pipelines.contract.events import EVENT
from pipelines.extraction import Analysis, Model, NotAnalysed, Talk, Wanted, by_model, by_rules, checked
from tests.support.analyst_server import GOOD, KEY, AnalystServer, analyst_server
from tests.support.ports import free_port
from tests.support.rehearsed_worker import Script

WANTED = [
    {"name": "guests", "type": "number", "description": "how many"},
    {"name": "wants_callback", "type": "boolean", "description": ""},
    {"name": "occasion", "type": "enum", "description": "birthday, business, other"},
    {"name": "budget", "type": "number", "description": ""},
    {"name": "allergies", "type": "string", "description": ""},
]
AGENT = {
    "agent_name": "Reception",
    "voice_id": "hibari-default",
    "language": "en-US",
    "response_engine": {"type": "call2me-llm", "system_prompt": "You book tables."},
    "post_call_extraction": WANTED,
}


def booked(script: Script) -> list[dict[str, Any]]:
    """Events of a call in which a table was booked."""
    return [
        script.started(),
        script.said("agent", "Hello.", 1, 2),
        script.said("user", "A table for four, it is a birthday.", 3, 5),
        script.called("book_table", 6, {"guests": 4, "occasion": "birthday"}),
        script.ended(65),
    ]


@pytest.fixture
async def server() -> AsyncIterator[AnalystServer]:
    """A model's server."""
    async with analyst_server(free_port()) as server:
        yield server


async def ended_call(database: Database, *, speaks: bool = True) -> str:
    """A call that is over and settled, with its events."""
    agent = AgentRow(owner_id="u", name="Reception", config=AGENT)
    call = CallRow(
        owner_id="u",
        agent_id=agent.id,
        status="completed",
        disconnection_reason="user_hangup",
        started_at=now() - timedelta(seconds=65),
        ended_at=now(),
        settled_at=now(),
    )
    events = [EVENT.validate_python(event) for event in booked(Script(call.id))]
    if not speaks:
        events = [events[0], events[-1]]
    async with database.transaction() as session:
        session.add(UserRow(id="u", email="u@example.com", password_hash="x"))
        await session.flush()
        session.add_all([agent, call])
        await session.flush()
        session.add_all(
            CallEventRow(
                call_id=call.id,
                sequence=event.sequence,
                attempt=1,
                kind=event.kind,
                at=event.at,
                payload=event.model_dump(mode="json"),
            )
            for event in events
        )
    return call.id


async def known(database: Database, call_id: str) -> tuple[Analysis, CallAnalysisRow]:
    """What was written."""
    async with database.transaction(writes=False) as session:
        row = await session.get_one(CallAnalysisRow, call_id)
        found = await analysis.of_call(session, call_id)
        assert found is not None
        return found, row


def model_of(server: AnalystServer) -> LanguageModel:
    """The api's settings for it."""
    return LanguageModel(key=KEY, base_url=server.url, name="")


async def test_a_model_reads_the_call_and_every_field_is_checked(
    database: Database, server: AnalystServer
) -> None:
    call_id = await ended_call(database)
    await analysis.analyse(database, model_of(server), call_id)
    found, row = await known(database, call_id)
    assert found.call_summary == GOOD["summary"]
    assert (found.call_successful, found.user_sentiment, found.analysed_by) == (
        True,
        "positive",
        "gpt-4o-mini",
    )
    assert found.custom_analysis_data == {
        "guests": 4.0,
        "wants_callback": False,
        "occasion": "birthday",
        "budget": None,  # "much" is no number
        "allergies": None,
    }
    assert (row.input_tokens, row.output_tokens, row.asked) == (321, 45, 1)
    (asked,) = server.asked
    assert "A table for four" in asked["messages"][1]["content"]
    assert "book_table" in asked["messages"][1]["content"]


async def test_an_analysis_that_is_known_is_not_paid_for_again(
    database: Database, server: AnalystServer
) -> None:
    call_id = await ended_call(database)
    for _ in range(3):
        await analysis.analyse(database, model_of(server), call_id)
    assert len(server.asked) == 1


@pytest.mark.parametrize("failure", ["429", "garbage", "cut", "huge", "slow"])
async def test_a_model_that_fails_once_is_asked_once_more(
    failure: str, database: Database, server: AnalystServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extraction, "ASK_SECONDS", 2.0 if failure == "slow" else 30.0)
    server.failures = [failure]
    call_id = await ended_call(database)
    await analysis.analyse(database, model_of(server), call_id)
    found, _ = await known(database, call_id)
    assert found.analysed_by == "gpt-4o-mini"
    assert len(server.asked) == 2


async def test_a_model_that_only_fails_leaves_what_the_record_proves(
    database: Database, server: AnalystServer
) -> None:
    server.failures = ["429"] * 9
    call_id = await ended_call(database)
    await analysis.analyse(database, model_of(server), call_id)
    found, row = await known(database, call_id)
    assert (found.analysed_by, found.user_sentiment) == ("rules", None)
    assert row.failure == "the model's server answered 429"
    assert len(server.asked) == analysis.MAX_ASKED


async def test_a_process_that_died_with_every_answer_stops_paying(
    database: Database, server: AnalystServer
) -> None:
    call_id = await ended_call(database)
    async with database.transaction() as session:
        session.add(CallAnalysisRow(call_id=call_id, asked=analysis.MAX_ASKED))
    await analysis.analyse(database, model_of(server), call_id)
    found, _ = await known(database, call_id)
    assert found.analysed_by == "rules"
    assert server.asked == []


async def test_nobody_is_paid_for_a_call_without_a_word(database: Database, server: AnalystServer) -> None:
    call_id = await ended_call(database, speaks=False)
    await analysis.analyse(database, model_of(server), call_id)
    found, _ = await known(database, call_id)
    assert (found.call_successful, server.asked) == (False, [])
    assert found.call_summary == "The caller said nothing. Ended: user_hangup."


async def test_without_a_model_only_what_the_record_proves_is_said(database: Database) -> None:
    call_id = await ended_call(database)
    await analysis.analyse(database, LanguageModel("", "", ""), call_id)
    found, _ = await known(database, call_id)
    assert found == Analysis(
        call_successful=True,
        call_summary="The caller spoke once in 1:05. Done: book_table. Ended: user_hangup.",
        user_sentiment=None,
        custom_analysis_data={
            "guests": 4,
            "wants_callback": None,
            "occasion": "birthday",
            "budget": None,
            "allergies": None,
        },
        analysed_by="rules",
    )


async def test_an_analysis_asked_for_anew_replaces_the_old_one_when_it_is_done(
    database: Database, server: AnalystServer
) -> None:
    call_id = await ended_call(database)
    await analysis.analyse(database, model_of(server), call_id)
    async with database.transaction() as session:
        call = await session.get_one(CallRow, call_id)
        assert await analysis.again(session, call) == 2
        assert await analysis.again(session, call) == 2, "a second wish joins the first"
    assert (await known(database, call_id))[0].call_summary == GOOD["summary"]
    server.answer = {**GOOD, "summary": "Another reading."}
    await analysis.analyse(database, model_of(server), call_id)
    assert (await known(database, call_id))[0].call_summary == "Another reading."


@pytest.mark.parametrize(
    ("kind", "value", "checked_value"),
    [
        ("number", " 3.5 ", 3.5),
        ("number", True, None),
        ("number", float("nan"), None),
        ("number", "inf", None),
        ("boolean", "Yes", True),
        ("boolean", 1, None),
        ("string", "  ", None),
        ("string", 7, "7"),
        ("string", ["a"], None),
        ("enum", "a", "a"),
        ("enum", None, None),
    ],
)
def test_a_value_of_another_type_is_no_answer(kind: Any, value: Any, checked_value: Any) -> None:
    assert checked(Wanted(name="x", type=kind), value) == checked_value


@pytest.mark.parametrize("answer", [[], "text", {"sentiment": "positive"}, {"summary": 3}, None])
async def test_an_answer_without_a_summary_is_none(answer: Any, server: AnalystServer) -> None:
    server.answer = answer
    talk = Talk(utterances=[], functions=[], status="completed", reason="", duration_seconds=1)
    async with aiohttp.ClientSession() as http:
        with pytest.raises(NotAnalysed):
            await by_model(talk, Model(server.url, "gpt-4o-mini", KEY), http)


def test_a_failed_call_is_no_success_and_failed_functions_are_named() -> None:
    script = Script("call_00000001")
    events = [EVENT.validate_python(script.called("refund", 1, {"amount": 5}, error="no such order"))]
    talk = Talk(
        utterances=[],
        functions=events,  # type: ignore[arg-type]
        status="failed",
        reason="error: the worker is gone",
        duration_seconds=3,
        wanted=[Wanted(name="amount", type="number")],
    )
    found = by_rules(talk)
    assert not found.call_successful
    assert "Failed: refund." in found.call_summary
    assert found.custom_analysis_data == {"amount": None}, "what failed was not done"
