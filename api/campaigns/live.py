"""How far a campaign is, as server-sent events: what stands now, then each change."""

import asyncio

from aiohttp import web

from api.calls.live import HEADERS, LONGEST_SECONDS, SIGN_OF_LIFE_SECONDS, Watchers, event
from api.campaigns import service
from api.campaigns.schemas import Progress
from api.campaigns.table import CampaignRow
from api.db.engine import Database

LOOK_SECONDS = 1.0


async def stream(
    request: web.Request, database: Database, watchers: Watchers, campaign_id: str, *, follows: bool
) -> web.StreamResponse:
    """Send it until the campaign is over and nobody is on the line any more."""
    response = web.StreamResponse(headers=HEADERS)
    loop = asyncio.get_running_loop()
    began = told_at = loop.time()
    said: Progress | None = None
    try:
        await response.prepare(request)
        while loop.time() - began < LONGEST_SECONDS and not watchers.is_closing:
            if (found := await _progress(database, campaign_id)) is None:
                break
            if found != said:
                said, told_at = found, loop.time()
                name = "end" if found.is_over else "progress"
                await response.write(event(name, found.model_dump(mode="json")))
            if found.is_over or not follows:
                break
            if loop.time() - told_at > SIGN_OF_LIFE_SECONDS:
                told_at = loop.time()
                await response.write(b": nothing new\n\n")
            await asyncio.sleep(LOOK_SECONDS)
        await response.write_eof()
    except ConnectionError:
        pass  # whoever watched has left
    return response


async def _progress(database: Database, campaign_id: str) -> Progress | None:
    async with database.transaction(writes=False) as session:
        if (row := await session.get(CampaignRow, campaign_id)) is None:
            return None
        counted = await service.counted(session, [row.id])
        return Progress.of(row, counted.get(row.id, {}), await service.outcomes(session, row.id))
