"""What the first start makes, and that an agent knows what its owner has."""

import json
from pathlib import Path
from typing import Any

from api.agents import service as agents
from api.calls.table import CallRow
from api.db.engine import Database
from api.internal import service as internal
from api.knowledge_base import service as knowledge_base
from api.knowledge_base import versions
from api.seed import lay_out_functions, seed
from api.seed_data import clinic
from api.settings import Settings
from api.users.table import UserRow
from pipelines.contract.brief import BriefRequest
from pipelines.tools.developer import load
from tests.support.rehearsed_calls import add


async def test_the_first_start_makes_an_agent_that_knows_and_does_something(
    database: Database, tmp_path: Path
) -> None:
    await add(database, UserRow(id="user_1", email="a@example.com", password_hash="x"))
    async with database.transaction() as session:
        agent = await seed(session, "user_1", tmp_path)
    call = CallRow(owner_id="user_1", agent_id=agent.id, room_name="room")
    await add(database, call)
    async with database.transaction() as session:
        settings = Settings.load({"CALL2ME_HOME": str(tmp_path)})
        asked = BriefRequest(worker_id="w", job_id="j")
        brief = await internal.brief(session, call.id, asked, settings)
    (known,) = brief.knowledge
    assert known.titles == tuple(title for title, _ in clinic.KNOWLEDGE)
    assert known.version == 0, "nothing of it has been read yet"
    assert brief.agent.enable_recording
    assert brief.agent.begin_message == clinic.GREETING
    assert brief.agent.language == "en-US"
    assert [function["name"] for function in brief.agent.engine.functions] == ["book_appointment"]
    assert (tmp_path / "functions" / "dental_clinic.py").is_file()


async def test_a_folder_of_functions_that_is_somebodys_is_left_alone(
    database: Database, tmp_path: Path
) -> None:
    (tmp_path / "functions").mkdir()
    (tmp_path / "functions" / "mine.py").write_text("")
    await add(database, UserRow(id="user_1", email="a@example.com", password_hash="x"))
    async with database.transaction() as session:
        await seed(session, "user_1", tmp_path)
    assert [path.name for path in (tmp_path / "functions").iterdir()] == ["mine.py"]


async def test_the_seeded_function_books(tmp_path: Path) -> None:
    lay_out_functions(tmp_path / "functions")
    functions = load(tmp_path / "functions")
    assert functions.broken == ()
    assert list(functions.by_name) == ["book_appointment"]
    book: Any = functions.by_name["book_appointment"]
    said = await book(None, name="Maria Lopez", service="cleaning", day="Tuesday", time="10 a.m.")
    assert said == "Maria Lopez is booked for cleaning on Tuesday at 10 a.m."
    (line,) = (tmp_path / "functions" / "appointments.jsonl").read_text().splitlines()
    booked = json.loads(line)
    assert (booked["name"], booked["service"], booked["day"], booked["time"]) == (
        "Maria Lopez",
        "cleaning",
        "Tuesday",
        "10 a.m.",
    )


async def test_an_agent_knows_only_what_its_owner_has(database: Database) -> None:
    async with database.transaction() as session:
        mine = await knowledge_base.texts_added(session, "me", "Mine", [("A", "one"), ("B", "two two")])
        theirs = await knowledge_base.texts_added(session, "they", "Theirs", [("C", "secret")])
        gone = await knowledge_base.texts_added(session, "me", "Gone", [("D", "old")])
        await knowledge_base.remove(session, gone)
    async with database.transaction(writes=False) as session:
        (known,) = await versions.versions(session, "me", [theirs.id, mine.id, gone.id, "kb_gone"])
        assert (known.base_id, known.name, known.titles) == (mine.id, "Mine", ("A", "B"))
        newest = await versions.newest(session, [mine.id, gone.id])
        assert [each.base_id for each in newest] == [mine.id]


async def test_agents_are_what_they_were_when_the_call_began(database: Database, tmp_path: Path) -> None:
    await add(database, UserRow(id="user_1", email="a@example.com", password_hash="x"))
    async with database.transaction() as session:
        agent = await seed(session, "user_1", tmp_path)
        config = agents.to_config(agent)
    assert config.engine.instructions == clinic.INSTRUCTIONS
    assert config.end_call_after_silence_ms == 30_000
