"""What livekit-server tells of its rooms: verified, applied once.

https://docs.livekit.io/home/server/webhooks: a JWT of our own key, with the hash of the body in it.
"""

import base64
import hashlib
import hmac
import json
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
from api.settings import Secrets
from api.voice.table import LiveKitEventRow

KEPT = timedelta(days=1)
LEEWAY_SECONDS = 10
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


async def apply(session: AsyncSession, event: dict[str, Any]) -> bool:
    """Let an event have its effect; False for one that had it, or has none.

    A room that is finished ends its call, presumed: its worker's own last word, when it comes, counts.
    """
    id_, kind, room = str(event.get("id", ""))[:100], str(event.get("event", ""))[:50], event.get("room")
    name = room.get("name") if isinstance(room, dict) else None
    if not id_ or not await insert_new(session, LiveKitEventRow, [LiveKitEventRow(id=id_, type=kind)]):
        return False
    if kind != "room_finished" or not isinstance(name, str):
        return False
    found = await session.exec(
        select(CallRow)
        .where(
            CallRow.room_name == name[:255],
            col(CallRow.status).in_(RUNNING),
            col(CallRow.briefed_at).is_not(None),
        )
        .with_for_update()
    )
    call = found.first()
    if call is None or not lifecycle.conclude(call, "ended", ROOM_GONE):
        return False
    session.add(call)
    await outbox.happened(session, call, [], has_ended=True)
    return True


async def sweep(database: Database) -> None:
    """Forget what is older than a day."""
    async with database.transaction() as session:
        await session.exec(delete(LiveKitEventRow).where(col(LiveKitEventRow.created_at) < now() - KEPT))
