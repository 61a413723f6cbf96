"""Secrets of an agent's functions: sealed, masked, revealed to calls only, never sent anywhere else."""

import json
from typing import Any

import pytest
from sqlalchemy import text

from api.agents import service
from api.agents.schemas import Agent, AgentCreate, AgentUpdate
from api.agents.secrets import MASK
from api.agents.table import AgentRow
from api.db.engine import Database
from api.db.migrate import upgrade
from api.db.vault import Vault
from api.http.callers import Caller
from api.http.errors import Invalid
from api.secret_keys import fresh_encryption_key
from api.users import service as users

HOOK: dict[str, Any] = {
    "name": "book",
    "description": "Book.",
    "url": "https://example.com/book",
    "parameters": {"type": "object", "properties": {}},
    "secret": "swordfish",
    "headers": {"Authorization": "Bearer swordfish"},
}
MCP = {"name": "crm", "url": "https://crm.example.com/mcp", "headers": {"X-Key": "swordfish"}}
ENGINE = {"type": "call2me-llm", "system_prompt": "Hi.", "functions": [HOOK], "mcp_servers": [MCP]}
WANTED = {"agent_name": "A", "voice_id": "openai-nova", "response_engine": ENGINE}


def with_hook(**changes: Any) -> AgentUpdate:
    engine = {**ENGINE, "functions": [{**HOOK, **changes}]}
    return AgentUpdate.model_validate({"response_engine": engine})


async def test_secrets_are_kept_sealed_shown_masked_and_told_to_calls(database_url: str) -> None:
    await upgrade(database_url)
    database = Database(database_url, Vault([fresh_encryption_key()]))
    async with database.transaction() as session:
        owner = await users.create(session, email="a@example.com", password_hash="x")
        row = await service.create(session, owner.id, AgentCreate.model_validate(WANTED))
    caller = Caller(owner.id, owner.id, "user")
    async with database.engine.connect() as connection:
        (stored,) = (await connection.execute(text("SELECT * FROM agents"))).all()
    assert "swordfish" not in repr(stored)

    async with database.transaction() as session:
        row = await service.get(session, caller, row.id)
        shown = Agent.of(row).model_dump_json()
        assert "swordfish" not in shown
        assert shown.count(MASK) == 3
        told = service.to_config(row).engine
        assert (told.functions[0]["secret"], told.functions[0]["headers"]) == (
            HOOK["secret"],
            HOOK["headers"],
        )
        assert told.mcp_servers[0].headers == MCP["headers"]
        copied = await service.duplicate(session, caller, row.id)
        assert service.to_config(copied).engine.functions[0]["secret"] == "swordfish"

    masked = json.loads(shown)["response_engine"]
    async with database.transaction() as session:
        await service.update(session, caller, row.id, AgentUpdate.model_validate({"response_engine": masked}))
        assert await secret_of(session, row) == "swordfish"  # what was sent back as shown is kept
        await service.update(session, caller, row.id, with_hook(secret="new"))
        assert await secret_of(session, row) == "new"
        await service.update(
            session, caller, row.id, with_hook(secret=MASK, headers={}, url="https://b.example/x")
        )
        assert await secret_of(session, row) == "new"  # a signature tells nobody its secret
        await service.update(session, caller, row.id, with_hook(secret=""))
        assert await secret_of(session, row) == ""

    async with database.transaction() as session:
        for change in (
            {"url": "https://evil.example/book"},
            {"name": "other"},
            {"headers": {"Cookie": MASK}},
        ):
            with pytest.raises(Invalid) as refused:
                await service.update(
                    session,
                    caller,
                    row.id,
                    with_hook(**{"secret": "", "headers": {"Authorization": MASK}, **change}),
                )
            assert refused.value.errors[0]["loc"][:4] == ["body", "response_engine", "functions", 0]
    await database.close()


async def secret_of(session: Any, row: AgentRow) -> Any:
    return service.to_config(await service.of_owner(session, row.owner_id, row.id)).engine.functions[0][
        "secret"
    ]
