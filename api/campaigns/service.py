"""Rules of campaigns: whose they are, and what they may do in which state.

draft ──start──► running ◄──pause / resume──► paused
  │                 ├──nobody left──► completed
  └──── cancel ─────┴───── cancel ──► cancelled
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial

from sqlalchemy import ColumnElement
from sqlmodel import col, func, or_, select, update
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from api.agents import service as agents
from api.campaigns import workflows
from api.campaigns.judging import HOURS, OFTEN
from api.campaigns.schemas import Action, CampaignCreate, CampaignQuery, CampaignUpdate
from api.campaigns.table import (
    CANCELLED,
    COMPLETED,
    DRAFT,
    PAUSED,
    PENDING,
    RUNNING,
    SKIPPED,
    CampaignContactRow,
    CampaignRow,
)
from api.db.columns import now
from api.db.engine import after_commit
from api.http.callers import Caller
from api.http.errors import BadRequest, Conflict, NotFound

MAX_CAMPAIGNS = 1000
_MAY: dict[Action, tuple[str, ...]] = {
    "start": (DRAFT,),
    "pause": (RUNNING,),
    "resume": (PAUSED,),
    "cancel": (DRAFT, RUNNING, PAUSED),
}


class CampaignNotFound(NotFound):
    """Campaign not found"""


class WrongState(BadRequest):
    """The campaign is not in a state that allows this"""


class NobodyToCall(BadRequest):
    """The campaign has no contacts yet"""


class TooManyCampaigns(Conflict):
    """There are 1,000 campaigns already; remove one first"""


async def create(session: AsyncSession, caller: Caller, wanted: CampaignCreate) -> CampaignRow:
    """One more campaign, as a draft."""
    await agents.get(session, caller, wanted.agent_id)
    counted = await session.exec(
        select(func.count()).select_from(CampaignRow).where(CampaignRow.owner_id == caller.owner_id)
    )
    if counted.one() >= MAX_CAMPAIGNS:
        raise TooManyCampaigns
    row = CampaignRow(owner_id=caller.owner_id, **wanted.model_dump(mode="json"))
    session.add(row)
    await session.flush()
    return row


async def page(
    session: AsyncSession, caller: Caller, query: CampaignQuery
) -> tuple[Sequence[CampaignRow], int]:
    """A page of the caller's campaigns, newest first, and how many there are."""
    asked: list[ColumnElement[bool]] = [col(CampaignRow.owner_id) == caller.owner_id]
    if query.status:
        asked.append(col(CampaignRow.status) == query.status)
    if query.search:
        texts = (CampaignRow.name, CampaignRow.description)
        asked.append(or_(*(col(text).icontains(query.search, autoescape=True) for text in texts)))
    total = await session.exec(select(func.count()).select_from(CampaignRow).where(*asked))
    found = await session.exec(
        select(CampaignRow)
        .where(*asked)
        .order_by(col(CampaignRow.created_at).desc(), col(CampaignRow.id).desc())
        .limit(query.limit)
        .offset(query.offset)
    )
    return found.all(), total.one()


async def get(session: AsyncSession, owner_id: str, campaign_id: str) -> CampaignRow:
    """One of an owner's campaigns, to be changed: nobody dials for it meanwhile."""
    return await _found(session, _one(owner_id, campaign_id).with_for_update())


async def seen(session: AsyncSession, owner_id: str, campaign_id: str) -> CampaignRow:
    """The same, only to be looked at."""
    return await _found(session, _one(owner_id, campaign_id))


def _one(owner_id: str, campaign_id: str) -> SelectOfScalar[CampaignRow]:
    return select(CampaignRow).where(CampaignRow.id == campaign_id, CampaignRow.owner_id == owner_id)


async def _found(session: AsyncSession, asked: SelectOfScalar[CampaignRow]) -> CampaignRow:
    if (row := (await session.exec(asked)).one_or_none()) is None:
        raise CampaignNotFound
    return row


async def counted(session: AsyncSession, ids: Sequence[str]) -> Mapping[str, Mapping[str, int]]:
    """How many people of these campaigns have which status."""
    counts: defaultdict[str, dict[str, int]] = defaultdict(dict)
    found = await session.exec(
        select(CampaignContactRow.campaign_id, CampaignContactRow.status, func.count())
        .where(col(CampaignContactRow.campaign_id).in_(ids))
        .group_by(col(CampaignContactRow.campaign_id), col(CampaignContactRow.status))
    )
    for campaign_id, status, count in found.all():
        counts[campaign_id][status] = int(count)
    return counts


async def outcomes(session: AsyncSession, campaign_id: str) -> dict[str, int]:
    """How many newest calls ended how."""
    found = await session.exec(
        select(CampaignContactRow.outcome, func.count())
        .where(CampaignContactRow.campaign_id == campaign_id, col(CampaignContactRow.outcome).is_not(None))
        .group_by(col(CampaignContactRow.outcome))
    )
    return {str(name): int(count) for name, count in found.all()}


async def change(
    session: AsyncSession, caller: Caller, campaign_id: str, changes: CampaignUpdate
) -> CampaignRow:
    """Change what was sent of a campaign that is not over."""
    row = await get(session, caller.owner_id, campaign_id)
    if row.status in (COMPLETED, CANCELLED):
        raise WrongState(f"The campaign is {row.status}")
    sent = changes.model_dump(mode="json", exclude_unset=True)
    if sent.get("calling_hours") == "any":
        sent["calling_hours"] = None
    for name, value in sent.items():
        setattr(row, name, value)
    if {"calling_hours", "timezone", "max_daily_per_number"} & sent.keys():
        await _look_again(session, row)
    row.updated_at = now()
    session.add(row)
    await session.flush()
    return row


async def remove(session: AsyncSession, caller: Caller, campaign_id: str) -> None:
    """Forget a campaign that calls nobody; the calls it made stay."""
    row = await get(session, caller.owner_id, campaign_id)
    if row.status in (RUNNING, PAUSED):
        raise WrongState(f"The campaign is {row.status}; cancel it first")
    await session.delete(row)


async def act(session: AsyncSession, caller: Caller, campaign_id: str, action: Action) -> CampaignRow:
    """Start, pause, resume or cancel. Calls that are going on are left to end by themselves."""
    row = await get(session, caller.owner_id, campaign_id)
    if row.status not in _MAY[action]:
        raise WrongState(f"A campaign that is {row.status} cannot {action}")
    if action in ("start", "resume"):
        await _begin(session, caller, row)
    elif action == "pause":
        row.status = PAUSED
    else:
        row.status = CANCELLED
        await session.exec(
            update(CampaignContactRow)
            .where(col(CampaignContactRow.campaign_id) == row.id, col(CampaignContactRow.status) == PENDING)
            .values(status=SKIPPED, reason="cancelled")
        )
    row.updated_at = now()
    session.add(row)
    return row


async def _look_again(session: AsyncSession, row: CampaignRow) -> None:
    """Who only waits for an hour is judged anew, by other rules."""
    await session.exec(
        update(CampaignContactRow)
        .where(
            col(CampaignContactRow.campaign_id) == row.id,
            col(CampaignContactRow.status) == PENDING,
            col(CampaignContactRow.reason).in_((HOURS, OFTEN)),
        )
        .values(due_at=now())
    )
    if row.status == RUNNING:
        _beat(session, row)


def _beat(session: AsyncSession, row: CampaignRow) -> None:
    """Have it looked at as soon as this is committed."""
    row.beat += 1
    row.beat_at = now()
    after_commit(session, partial(workflows.queue, row.id, row.beat))


async def _begin(session: AsyncSession, caller: Caller, row: CampaignRow) -> None:
    await agents.get(session, caller, row.agent_id)
    if row.status == DRAFT and not (await counted(session, [row.id])).get(row.id):
        raise NobodyToCall
    row.status, row.problem = RUNNING, None
    row.running_since = now()
    row.started_at = row.started_at or row.running_since
    _beat(session, row)
