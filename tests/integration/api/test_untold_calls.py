"""A call that should have rung to its end long ago is over, however long it was allowed to ring."""

from datetime import timedelta
from typing import Any

import pytest

from api.calls import phoning, workflows
from api.calls.table import CallRow
from api.db.columns import now
from api.db.engine import Database
from api.db.migrate import upgrade
from api.db.vault import Vault
from api.secret_keys import fresh_encryption_key
from api.users import service as users


async def test_a_call_is_given_up_only_after_its_own_time_to_ring(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled: list[str] = []

    async def settle(call_id: str) -> None:
        settled.append(call_id)

    monkeypatch.setattr(workflows, "start_settlement", settle)
    await upgrade(database_url)
    database = Database(database_url, Vault([fresh_encryption_key()]))
    ages: dict[str, tuple[int, dict[str, Any]]] = {
        "short and over": (40, {"ring_seconds": 5}),
        "short and ringing": (30, {"ring_seconds": 5}),
        "long and ringing": (150, {"ring_seconds": 180}),
        "long and over": (220, {"ring_seconds": 180}),
        "as ever and ringing": (80, {}),
        "as ever and over": (95, {}),
        "talked with": (900, {"attempt": 1, "status": "in_progress"}),
    }
    ids: dict[str, str] = {}
    async with database.transaction() as session:
        owner = await users.create(session, email="a@example.com", password_hash="x")
        for name, (age, more) in ages.items():
            wanted = {"status": "ringing", "call_type": "phone_call", "direction": "outbound", **more}
            call = CallRow(owner_id=owner.id, created_at=now() - timedelta(seconds=age), **wanted)
            session.add(call)
            ids[name] = call.id
    for _ in range(2):
        async with database.transaction() as session:
            await phoning.lose_untold(session)
    async with database.transaction(writes=False) as session:
        over = {name for name, call_id in ids.items() if (await session.get_one(CallRow, call_id)).is_over}
    assert over == {"short and over", "long and over", "as ever and over"}
    assert sorted(settled) == sorted(ids[name] for name in over), "once each"
    await database.close()
