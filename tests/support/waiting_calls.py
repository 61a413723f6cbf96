"""Calls that wait for their worker, written as a token or a phone would have made them."""

import asyncio
from typing import Any

from api.calls.table import CallRow
from api.db.columns import new_id
from api.db.engine import Database
from api.settings import Settings
from tests.support.api import Api, Person, Reply


def waiting_call(person: Person, agent_id: str, **values: Any) -> str:
    """A call of this person that nobody took up yet; its id."""
    row = CallRow(
        id=new_id("call", 16), owner_id=person.credentials["user"]["user_id"], agent_id=agent_id, **values
    )

    async def write() -> None:
        database = Database(Settings.load(person.api.environment).database_url)
        async with database.transaction() as session:
            session.add(row)
        await database.close()

    asyncio.run(write())
    return row.id


def brief(api: Api, call_id: str) -> Reply:
    """What a worker is told of a call."""
    return _internal(api, f"/internal/calls/{call_id}/brief", {"worker_id": "worker-1", "job_id": "job-1"})


def tell(api: Api, *events: dict[str, Any]) -> Reply:
    """What a worker tells of a call."""
    return _internal(api, "/internal/events", {"worker_id": "worker-1", "events": list(events)})


def _internal(api: Api, path: str, body: Any) -> Reply:
    return api.ask("POST", path, body, headers={"X-Internal-Key": api.secrets["internal_key"]})
