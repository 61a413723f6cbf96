"""Bare aiohttp with aiosqlite: a key looked up, one row read or durably written. FILE PORT."""

import asyncio
import hashlib
import json
import sys
import uuid

import aiosqlite
import uvloop
from aiohttp import web

TABLES = """
CREATE TABLE keys (digest TEXT PRIMARY KEY, owner_id TEXT);
CREATE TABLE agents (id TEXT PRIMARY KEY, owner_id TEXT, name TEXT, config TEXT);
CREATE TABLE contacts (
  id TEXT PRIMARY KEY, owner_id TEXT, phone_number TEXT, UNIQUE (owner_id, phone_number)
);
"""


async def _owner(request: web.Request, database: aiosqlite.Connection) -> str:
    token = request.headers.get("Authorization", "").removeprefix("Bearer ")
    digest = hashlib.sha256(token.encode()).hexdigest()
    async with database.execute("SELECT owner_id FROM keys WHERE digest = ?", (digest,)) as found:
        row = await found.fetchone()
    if row is None:
        raise web.HTTPUnauthorized
    return str(row[0])


async def main(path: str, port: int) -> None:
    """Serve until killed."""
    reading, writing = await aiosqlite.connect(path), await aiosqlite.connect(path)
    for database in (reading, writing):
        await database.execute("PRAGMA journal_mode=WAL")
        await database.execute("PRAGMA synchronous=FULL")
    await writing.executescript(TABLES)
    await writing.execute("INSERT INTO keys VALUES (?, 'me')", (hashlib.sha256(b"secret").hexdigest(),))
    config = json.dumps({"a": "b" * 2000})
    await writing.execute("INSERT INTO agents VALUES ('1', 'me', 'Desk', ?)", (config,))
    await writing.commit()
    turn = asyncio.Lock()

    async def get_agent(request: web.Request) -> web.Response:
        owner = await _owner(request, reading)
        asked = (request.match_info["id"], owner)
        query = "SELECT name, config FROM agents WHERE id = ? AND owner_id = ?"
        async with reading.execute(query, asked) as found:
            row = await found.fetchone()
        if row is None:
            raise web.HTTPNotFound
        return web.json_response({"name": row[0], "config": json.loads(row[1])})

    async def make_contact(request: web.Request) -> web.Response:
        owner, body, contact = await _owner(request, reading), await request.json(), uuid.uuid4().hex
        row = (contact, owner, body["phone_number"])
        async with turn:
            await writing.execute("INSERT INTO contacts VALUES (?, ?, ?)", row)
            await writing.commit()
        return web.json_response({"contact_id": contact}, status=201)

    app = web.Application()
    app.add_routes([web.get("/agents/{id}", get_agent), web.post("/contacts", make_contact)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2])))
