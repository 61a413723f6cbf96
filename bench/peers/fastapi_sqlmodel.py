"""FastAPI with SQLModel as tutorials have it: a key looked up, one row read or durably written. FILE PORT."""
# mypy: ignore-errors

import hashlib
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import uvicorn
from fastapi import Depends, FastAPI, Header, HTTPException
from pydantic import BaseModel
from sqlalchemy import JSON, Column, UniqueConstraint, event
from sqlalchemy.ext.asyncio import create_async_engine
from sqlmodel import Field, SQLModel, select
from sqlmodel.ext.asyncio.session import AsyncSession

ENGINE = create_async_engine(f"sqlite+aiosqlite:///{sys.argv[1]}")


@event.listens_for(ENGINE.sync_engine, "connect")
def _durable(connection: Any, _: Any) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA busy_timeout=5000")


class Key(SQLModel, table=True):
    """Whose key."""

    digest: str = Field(primary_key=True)
    owner_id: str


class Agent(SQLModel, table=True):
    """What is read."""

    id: str = Field(primary_key=True)
    owner_id: str
    name: str
    config: dict[str, Any] = Field(sa_column=Column(JSON))


class Contact(SQLModel, table=True):
    """What is written."""

    __table_args__ = (UniqueConstraint("owner_id", "phone_number"),)
    id: str = Field(default_factory=lambda: uuid.uuid4().hex, primary_key=True)
    owner_id: str
    phone_number: str


class ContactCreate(BaseModel):
    """What is sent."""

    phone_number: str


@asynccontextmanager
async def begin(_: FastAPI) -> AsyncIterator[None]:
    """Tables, a key, an agent."""
    async with ENGINE.begin() as connection:
        await connection.run_sync(SQLModel.metadata.create_all)
    async with AsyncSession(ENGINE) as session:
        session.add(Key(digest=hashlib.sha256(b"secret").hexdigest(), owner_id="me"))
        session.add(Agent(id="1", owner_id="me", name="Desk", config={"a": "b" * 2000}))
        await session.commit()
    yield


async def session() -> AsyncIterator[AsyncSession]:
    """One for each request."""
    async with AsyncSession(ENGINE) as opened:
        yield opened


Session = Annotated[AsyncSession, Depends(session)]


async def owner(session: Session, authorization: Annotated[str, Header()] = "") -> str:
    """Whose key it is."""
    key = await session.get(Key, hashlib.sha256(authorization.removeprefix("Bearer ").encode()).hexdigest())
    if key is None:
        raise HTTPException(401)
    return key.owner_id


Owner = Annotated[str, Depends(owner)]
app = FastAPI(lifespan=begin)


@app.get("/agents/{agent_id}")
async def get_agent(agent_id: str, session: Session, owner: Owner) -> Agent:
    """One row."""
    found = await session.exec(select(Agent).where(Agent.id == agent_id, Agent.owner_id == owner))
    if (agent := found.one_or_none()) is None:
        raise HTTPException(404)
    return agent


@app.post("/contacts", status_code=201)
async def make_contact(body: ContactCreate, session: Session, owner: Owner) -> Contact:
    """One commit."""
    contact = Contact(owner_id=owner, phone_number=body.phone_number)
    session.add(contact)
    await session.commit()
    await session.refresh(contact)
    return contact


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="error", access_log=False)
