"""That a call is over is told, also where nobody but the api says so."""

from datetime import timedelta

import pytest
from pydantic import SecretStr
from sqlmodel import select

from api.calls import outbox, settlement
from api.calls.table import CallRow
from api.db.columns import now
from api.db.engine import Database
from api.db.migrate import upgrade
from api.db.vault import Vault
from api.secret_keys import fresh_encryption_key
from api.users.table import UserRow
from api.webhooks.table import WebhookEndpointRow, WebhookEventRow


@pytest.mark.parametrize(
    ("status", "told"), [("completed", ["call.ended"]), ("failed", ["call.ended", "call.error"])]
)
async def test_an_end_that_was_only_presumed_is_told_once_it_is_settled(
    database_url: str, status: str, told: list[str]
) -> None:
    await upgrade(database_url)
    database = Database(database_url, Vault([fresh_encryption_key()]))
    ended_at = now() - timedelta(minutes=1)
    presumed, known = [
        CallRow(owner_id="user_1", status=status, started_at=ended_at, ended_at=ended_at, is_presumed=is_it)
        for is_it in (True, False)
    ]
    try:
        async with database.transaction() as session:
            session.add(UserRow(id="user_1", email="owner@example.com", password_hash="x"))
            await session.flush()
            hook = {"url": "https://hooks.example.com", "events": ["*"], "secret": SecretStr("secret")}
            session.add_all([presumed, known, WebhookEndpointRow(owner_id="user_1", **hook)])
            await session.flush()
            await outbox.happened(session, known, (), has_ended=True)  # as when its worker said so
            for call in (presumed, known):
                await settlement.mark_settled(session, call.id)
        async with database.transaction(writes=False) as session:
            for call in (presumed, known):
                found = await session.exec(
                    select(WebhookEventRow.type).where(WebhookEventRow.call_id == call.id)
                )
                assert sorted(found.all()) == told
    finally:
        await database.close()
