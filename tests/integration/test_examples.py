"""The agents in `examples/`: each is one that the api takes, and one that can be talked to."""

import json
import shutil
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from api.agents.config import to_config
from api.agents.schemas import AgentCreate
from api.agents.table import AgentRow
from pipelines.contract.brief import CallBrief
from pipelines.providers import ProviderSettings
from pipelines.script import Script
from pipelines.text_turn import Done, Noted, TextHost, Used, text_turn
from pipelines.tools.developer import Functions, load
from tests.support.stack import ROOT

NAMES = ("front_desk", "restaurant", "survey")
VARIABLES = {"first_name": "Ada", "visit_date": "the third of March"}
NOW = datetime(2026, 3, 5, 9, 7, tzinfo=UTC)


class Talk:
    """A talk in text with one example, by the scripted engine."""

    def __init__(self, name: str, folder: Path) -> None:
        self.folder = folder / "functions"
        shutil.copytree(ROOT / "examples" / name / "functions", self.folder)
        wanted = AgentCreate.model_validate_json((ROOT / "examples" / name / "agent.json").read_bytes())
        row = AgentRow(id="agent_0123456789ab", owner_id="u", name="A", config=wanted.model_dump(mode="json"))
        self.brief = CallBrief(call_id="chat_1", agent=to_config(row), variables=VARIABLES)
        self.functions: Functions = load(self.folder)
        self.memory: dict[str, Any] | None = None
        self.used: list[Used] = []
        self.notes: list[Noted] = []

    async def says(self, message: str) -> str:
        """What the agent answers."""
        host = TextHost(ProviderSettings(), self.functions)
        async for event in text_turn(self.brief, message, host, memory=self.memory, now=NOW):
            if isinstance(event, Used):
                self.used.append(event)
            elif isinstance(event, Noted):
                self.notes.append(event)
            elif isinstance(event, Done):
                self.memory = event.memory
                assert event.error == ""
                return event.text
        raise AssertionError("no end")

    def kept(self, name: str) -> list[dict[str, Any]]:
        """What the example's function wrote down."""
        return [json.loads(line) for line in (self.folder / name).read_text().splitlines()]


@pytest.fixture
def talk(tmp_path: Path, request: pytest.FixtureRequest) -> Talk:
    return Talk(request.param, tmp_path)


@pytest.mark.parametrize("talk", NAMES, indirect=True)
async def test_each_opens_in_its_own_words_with_all_that_it_asks_for(talk: Talk) -> None:
    opened = await talk.says("")
    assert opened == Script.of(talk.brief, NOW).begin
    assert "{" not in opened
    assert [note for note in talk.notes if note.code != "function_unavailable"] == []
    asked_for = [function["name"] for function in talk.brief.agent.engine.functions]
    assert set(asked_for) <= set(talk.functions.by_name)


@pytest.mark.parametrize("talk", ["front_desk"], indirect=True)
async def test_the_front_desk_knows_its_hours(talk: Talk) -> None:
    assert "9" in await talk.says("What are your opening hours?")
    assert "ten" in await talk.says("How long does a repair take?")


@pytest.mark.parametrize("talk", ["restaurant"], indirect=True)
async def test_the_restaurant_books_a_table(talk: Talk) -> None:
    assert "38" in await talk.says("How much is the menu of the day?")
    await talk.says("I would like to book a table for four people on Friday at 7 p.m. My name is Ada Byron.")
    for _ in range(3):
        if talk.used:
            break
        await talk.says("Yes, that is right.")
    (used,) = talk.used
    assert used.error is None
    (booking,) = talk.kept("bookings.jsonl")
    assert (booking["guests"], booking["name"], booking["time"]) == (4, "Ada Byron", "19:00")
    assert date.fromisoformat(booking["day"]).weekday() == 4


@pytest.mark.parametrize("talk", ["survey"], indirect=True)
async def test_the_survey_says_what_it_is_for(talk: Talk) -> None:
    await talk.says("")
    assert "minute" in await talk.says("How long does the survey take?")
    script = Script.of(talk.brief, NOW)
    assert script.voicemail.startswith("Hello Ada, this is Northwind.")
    assert "the third of March" in script.instructions
