"""How far a campaign is, as server-sent events: what stands now, then each change."""

from collections.abc import AsyncGenerator

from api.campaigns import service
from api.campaigns.schemas import Progress
from api.campaigns.table import CampaignRow
from api.db.engine import Database
from api.http.event_streams import NOTHING_NEW, event

LOOK_SECONDS = 1.0


async def progress(database: Database, campaign_id: str, *, follows: bool) -> AsyncGenerator[bytes, None]:
    """Tell it until the campaign is over and nobody is on the line any more."""
    said: Progress | None = None
    while (found := await _progress(database, campaign_id)) is not None:
        if found != said:
            said = found
            yield event("end" if found.is_over else "progress", found.model_dump(mode="json"))
        if found.is_over or not follows:
            return
        yield NOTHING_NEW


async def _progress(database: Database, campaign_id: str) -> Progress | None:
    async with database.transaction(writes=False) as session:
        if (row := await session.get(CampaignRow, campaign_id)) is None:
            return None
        counted = await service.counted(session, [row.id])
        return Progress.of(row, counted.get(row.id, {}), await service.outcomes(session, row.id))
