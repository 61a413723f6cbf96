"""A campaign with a line that writes calls down, looked at by hand."""

from collections.abc import AsyncIterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.agents.table import AgentRow
from api.calls import service as calls
from api.calls.schemas import OutboundCall
from api.calls.table import CallRow
from api.campaigns import dialling
from api.campaigns.table import CampaignContactRow, CampaignRow
from api.db import migrate
from api.db.columns import now
from api.db.engine import Database
from api.db.vault import Vault
from api.durable import engine
from api.http.callers import Caller
from api.http.errors import ApiError
from api.secret_keys import fresh_encryption_key
from api.telephone_settings import Tolls
from api.users.table import UserRow

STATUS = {"1": "no_answer", "2": "busy", "3": "failed", "9": "in_progress"}
CAMPAIGN = {"agent_id": "agent_1", "name": "Fair", "status": "running", "beat": 1}


class Line:
    """A phone line that writes calls down; a call's end is the last digit of its number."""

    def __init__(self) -> None:
        self.fails_with: ApiError | None = None
        self.dialled: list[OutboundCall] = []
        self.ends: dict[str, dict[str, Any]] = {}
        """What a call to a number has besides its status."""

    async def dial(self, session: AsyncSession, caller: Caller, wanted: OutboundCall) -> CallRow:
        """As `calls.service.dial`."""
        row = CallRow(owner_id=caller.owner_id, agent_id=wanted.agent_id, to_number=wanted.to_number)
        row.direction, row.status = "outbound", STATUS.get(wanted.to_number[-1], "completed")
        for name, value in self.ends.get(wanted.to_number, {}).items():
            setattr(row, name, value)
        session.add(row)
        await session.flush()
        if self.fails_with is not None:
            raise self.fails_with
        self.dialled.append(wanted)
        return row


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> Line:
    """In place of the one that is not there."""
    line = Line()
    monkeypatch.setattr(calls, "dial", line.dial)
    rules = SimpleNamespace(tolls=Tolls(blocked_prefixes=("+90533",)))
    monkeypatch.setattr(engine, "reach", lambda: rules)
    return line


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """With an owner."""
    await migrate.upgrade(database_url)
    database = Database(database_url, Vault([fresh_encryption_key()]))
    async with database.transaction() as session:
        session.add(UserRow(id="user_1", email="owner@example.com", password_hash="x"))
        await session.flush()
        session.add(AgentRow(id="agent_1", owner_id="user_1", name="A", config={}))
    yield database
    await database.close()


async def campaign(database: Database, numbers: list[str], **values: Any) -> CampaignRow:
    """A running campaign with these people."""
    row = CampaignRow(owner_id="user_1", **{**CAMPAIGN, "beat_at": now(), "calls_per_minute": 60, **values})
    async with database.transaction() as session:
        session.add(row)
        await session.flush()
        for position, number in enumerate(numbers):
            person = CampaignContactRow(campaign_id=row.id, phone_number=number, position=position)
            session.add(person)
    return row


async def look(database: Database, row: CampaignRow, *, then: int | None = None) -> float | None:
    """The look that is due; the seconds to the next."""
    async with database.transaction() as session:
        kept = await session.get_one(CampaignRow, row.id)
        following = await dialling.look(session, row.id, kept.beat if then is None else then)
        return None if following is None else following.delay_seconds


async def pass_time(database: Database, row: CampaignRow, **ago: float) -> None:
    """As if what was dialled and what is due were earlier."""
    async with database.transaction() as session:
        for person in await people(session, row):
            person.due_at -= timedelta(**ago)
            if person.dialled_at is not None:
                person.dialled_at -= timedelta(**ago)
            session.add(person)


async def people(session: AsyncSession, row: CampaignRow) -> list[CampaignContactRow]:
    """Everybody, in order."""
    found = await session.exec(
        select(CampaignContactRow)
        .where(CampaignContactRow.campaign_id == row.id)
        .order_by(col(CampaignContactRow.position))
    )
    return list(found.all())


async def statuses(database: Database, row: CampaignRow) -> list[str]:
    """Where everybody stands."""
    async with database.transaction(writes=False) as session:
        return [person.status for person in await people(session, row)]


async def kept(database: Database, row: CampaignRow) -> CampaignRow:
    """The campaign as it is now."""
    async with database.transaction(writes=False) as session:
        return await session.get_one(CampaignRow, row.id)
