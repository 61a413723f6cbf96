"""A campaign's durable work: `campaign-<id>-<beat>` looks for half a minute, then queues what follows."""

import asyncio
import logging
from datetime import timedelta

from dbos import DBOS
from sqlmodel import col, select

from api.campaigns import dialling
from api.campaigns.table import CampaignRow
from api.db.columns import now
from api.durable import engine

_LOG = logging.getLogger(__name__)

QUEUE = "campaigns"
AT_ONCE = 16
SHIFT_SECONDS = 30.0
OVERDUE_SECONDS = 45.0
"""Longer than any look takes: whoever was to make it is gone."""
Following = tuple[int, float]


@DBOS.workflow(name="campaign")
async def run(campaign_id: str, beat: int) -> None:
    """Work for a while, then arrange what follows."""
    with engine.at_work():
        if (following := await work(campaign_id, beat)) is not None:
            await queue(campaign_id, *following)


@DBOS.step(name="campaign.work", retries_allowed=True, max_attempts=5)
async def work(campaign_id: str, beat: int) -> Following | None:
    """Look, wait, look again; returns the look that follows this shift. Again, it goes on where it was."""
    loop = asyncio.get_running_loop()
    until = loop.time() + SHIFT_SECONDS
    while True:
        async with engine.reach().database.transaction(is_durable=True) as session:
            following = await dialling.look(session, campaign_id, beat)
        if following is None:
            return None
        if loop.time() + following.delay_seconds > until:
            return following.beat, following.delay_seconds
        await asyncio.sleep(following.delay_seconds)
        beat = following.beat


async def queue(campaign_id: str, beat: int, delay_seconds: float = 0.0) -> None:
    """Have a look made. Twice is harmless; never raises, since the sweeper asks again."""
    try:
        await engine.enqueue(
            QUEUE, f"campaign-{campaign_id}-{beat}", run, campaign_id, beat, delay_seconds=delay_seconds
        )
    except Exception as error:  # noqa: BLE001 - the campaign is committed; the sweeper queues what this did not
        _LOG.warning("campaign not queued", extra={"id": campaign_id, "error": type(error).__name__})


async def sweep() -> None:
    """Queue the looks that are overdue: what a crash left unqueued, or a process that is gone was to make."""
    async with engine.reach().database.transaction(writes=False) as session:
        found = await session.exec(
            select(CampaignRow.id, CampaignRow.beat)
            .where(col(CampaignRow.beat_at) < now() - timedelta(seconds=OVERDUE_SECONDS))
            .limit(500)
        )
        late = found.all()
    for campaign_id, beat in late:
        await engine.enqueue_again(QUEUE, f"campaign-{campaign_id}-{beat}", run, campaign_id, beat)
