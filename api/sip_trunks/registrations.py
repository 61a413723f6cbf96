"""Whether the phone line has a trunk by now: it looks for changes every three seconds, and then registers."""

import asyncio

from api.db.columns import now
from api.outside.phones import Phones
from api.sip_trunks.table import SipTrunkRow
from pipelines.contract.websocket import NOT_YET

TAKEN_UP_SECONDS = 3.5
REGISTERED_SECONDS = 6.0
"""After it was taken up; a carrier that is there answers within one."""
LOOK_SECONDS = 0.2

UNTOLD = "the phone line has not told of this trunk yet"


async def settled(phones: Phones, row: SipTrunkRow) -> None:
    """Wait, for ten seconds at most, until a trunk that was changed just now has been taken up and tried."""
    await asyncio.sleep(max(0.0, TAKEN_UP_SECONDS - (now() - row.updated_at).total_seconds()))
    until = asyncio.get_running_loop().time() + REGISTERED_SECONDS
    while row.registers and asyncio.get_running_loop().time() < until:
        if (await phones.trunks()).get(row.id, NOT_YET) != NOT_YET:
            return
        await asyncio.sleep(LOOK_SECONDS)
