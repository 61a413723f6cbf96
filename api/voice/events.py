"""What livekit-server tells of its rooms: verified, kept once.

https://docs.livekit.io/home/server/webhooks: a JWT of our own key, with the hash of the body in it.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import logging
from datetime import timedelta
from typing import Any

import jwt
from sqlalchemy import delete
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.calls import lifecycle, outbox
from api.calls.table import RUNNING, CallRow
from api.db.columns import now
from api.db.engine import Database
from api.db.inserts import insert_new
from api.http.errors import Unauthorized
from api.secret_keys import Secrets
from api.voice.table import LiveKitEventRow

_LOG = logging.getLogger(__name__)

KEPT = timedelta(days=1)
LEEWAY_SECONDS = 10
LAST_WORD_SECONDS = 10.0
ROOM_GONE = "the room is gone"


class NotFromLiveKit(Unauthorized):
    """This event is not signed by livekit-server"""


def verify(raw: bytes, token: str, secrets: Secrets) -> dict[str, Any]:
    """The event of a body that is signed. Raises `NotFromLiveKit`, for one that is no event too."""
    try:
        claims = jwt.decode(
            token.removeprefix("Bearer ").strip(),
            secrets.livekit_api_secret,
            algorithms=["HS256"],
            issuer=secrets.livekit_api_key,
            leeway=LEEWAY_SECONDS,
            options={"require": ["exp", "iss"]},
        )
        told = base64.b64decode(str(claims.get("sha256", "")))
        event = json.loads(raw)
    except (jwt.InvalidTokenError, ValueError, RecursionError):
        raise NotFromLiveKit from None
    if not hmac.compare_digest(told, hashlib.sha256(raw).digest()) or not isinstance(event, dict):
        raise NotFromLiveKit
    return event


async def keep(session: AsyncSession, event: dict[str, Any]) -> None:
    """Remember an event that has an id, once."""
    id_, kind, room = str(event.get("id", ""))[:100], str(event.get("event", ""))[:50], event.get("room")
    name = room.get("name") if isinstance(room, dict) else None
    row = LiveKitEventRow(id=id_, type=kind, room_name=name[:255] if isinstance(name, str) else "")
    if id_:
        await insert_new(session, LiveKitEventRow, [row])


async def conclude(database: Database) -> None:
    """End, presumed, the calls whose room is finished and whose worker said nothing of it in its time.

    The room of a caller who hangs up is often finished before the call's own last word is here.
    """
    finished = (
        col(LiveKitEventRow.type) == "room_finished",
        col(LiveKitEventRow.created_at) < now() - timedelta(seconds=LAST_WORD_SECONDS),
        col(CallRow.room_name) == col(LiveKitEventRow.room_name),
    )
    running = (col(CallRow.status).in_(RUNNING), col(CallRow.briefed_at).is_not(None))
    async with database.transaction(writes=False) as session:
        left = set((await session.exec(select(CallRow.id).where(*running, *finished))).all())
    for call_id in left:
        async with database.transaction() as session:
            call = await session.get(CallRow, call_id, with_for_update=True)
            if call is not None and lifecycle.conclude(call, "ended", ROOM_GONE):
                session.add(call)
                await outbox.happened(session, call, [], has_ended=True)


async def watch(database: Database) -> None:
    """Conclude them every other second, for ever."""
    while True:
        try:
            await conclude(database)
        except Exception:  # noqa: BLE001 - two seconds later it is tried again
            _LOG.exception("finished rooms were not looked at")
        await asyncio.sleep(2)


async def sweep(database: Database) -> None:
    """Forget what is older than a day."""
    async with database.transaction() as session:
        await session.exec(delete(LiveKitEventRow).where(col(LiveKitEventRow.created_at) < now() - KEPT))
