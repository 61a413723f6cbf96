"""Calls and rooms as the api's own work sees them, written straight into the database."""

import json
from datetime import timedelta
from typing import Any

from api.calls.table import CallAttemptRow, CallRow
from api.db.columns import now
from api.db.engine import Database
from api.outside.rooms import RoomGone, RoomsUnavailable, Ticket


class RehearsedRooms:
    """Rooms that only remember what was asked of them."""

    public_url = "ws://127.0.0.1:1"

    def __init__(self) -> None:
        self.deleted: list[str] = []
        self.removed: list[str] = []
        self.dispatched: list[dict[str, Any]] = []
        self.is_empty = False
        self.is_there = True

    async def is_up(self) -> bool:
        """As the test says."""
        return self.is_there

    def token(self, ticket: Ticket) -> str:
        """Not a real one."""
        return ticket.room_name

    async def participants(self, room_name: str) -> list[str]:
        """Nobody."""
        return []

    async def remove_participant(self, room_name: str, identity: str) -> None:
        """Remember it."""
        self.removed.append(identity)

    async def dispatch(self, room_name: str, agent_name: str, metadata: str) -> None:
        """Remember it, unless the room is gone or nobody answers."""
        if not self.is_there:
            raise RoomsUnavailable
        if self.is_empty:
            raise RoomGone
        self.dispatched.append(json.loads(metadata))

    async def delete_room(self, room_name: str) -> None:
        """Remember it."""
        if not self.is_there:
            raise RoomsUnavailable
        self.deleted.append(room_name)

    async def close(self) -> None:
        """Nothing to let go of."""


async def add(database: Database, *rows: Any) -> None:
    """Write rows, and for each call that somebody took its attempt."""
    attempts = [
        CallAttemptRow(
            call_id=row.id,
            attempt=number,
            job_id=f"job-{number}",
            briefed_at=row.briefed_at,
            asked_at=row.briefed_at or now(),
        )
        for row in rows
        if isinstance(row, CallRow)
        for number in range(1, row.attempt + 1)
    ]
    async with database.transaction() as session:
        session.add_all(rows)
        await session.flush()
        session.add_all(attempts)


async def call_of(database: Database, call_id: str) -> CallRow | None:
    """The call as it is now."""
    async with database.transaction(writes=False) as session:
        return await session.get(CallRow, call_id)


def taken(worker_id: str = "w", **values: Any) -> CallRow:
    """A call that a worker took half a minute ago."""
    return CallRow(
        **{
            "owner_id": "u",
            "room_name": "room",
            "attempt": 1,
            "worker_id": worker_id,
            "briefed_at": now() - timedelta(seconds=30),
            "status": "in_progress",
            "started_at": now() - timedelta(seconds=29),
            **values,
        }
    )
