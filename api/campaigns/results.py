"""What would become of a campaign, and what became of it."""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import cast

from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.agents import service as agents
from api.calls.table import CallRow
from api.campaigns import service
from api.campaigns.judging import judge, look_up
from api.campaigns.schemas import Preview, Results, SkippedPerson, Status, Totals
from api.campaigns.table import PENDING, SKIPPED, CampaignContactRow, CampaignRow
from api.db.columns import now
from api.http.errors import ApiError
from api.http.sheets import written
from api.phone_numbers import routing

AT_ONCE = 1000
MAX_EXAMPLES = 100
HEADER = (
    "phone_number name status outcome attempts call_id duration_seconds reason dialled_at ended_at"
).split()


async def preview(session: AsyncSession, row: CampaignRow) -> Preview:
    """Judge everybody who was not called yet, as it would be done now. Changes nothing."""
    at, skipped = now(), Counter[str]()
    callable_now = callable_later = 0
    opens: datetime | None = None
    examples: list[SkippedPerson] = []
    async for people in _pieces(session, row, PENDING):
        known = await look_up(session, row, [person.phone_number for person, _ in people], at)
        for person, _ in people:
            verdict = judge(row, person, known, at)
            if verdict.skip:
                skipped[verdict.skip] += 1
                if len(examples) < MAX_EXAMPLES:
                    named = {"phone_number": person.phone_number, "name": person.name}
                    examples.append(SkippedPerson(**named, reason=verdict.skip))
            elif verdict.not_before is not None:
                callable_later += 1
                opens = verdict.not_before if opens is None else min(opens, verdict.not_before)
            else:
                callable_now += 1
    return Preview(
        campaign_id=row.id,
        total=callable_now + callable_later + skipped.total(),
        callable_now=callable_now,
        callable_later=callable_later,
        next_opening_at=opens,
        skipped=dict(skipped),
        examples=examples,
        problems=await _problems(session, row),
        shortest_minutes=round((callable_now + callable_later) / row.calls_per_minute, 1),
    )


async def results(session: AsyncSession, row: CampaignRow) -> Results:
    """A campaign in figures."""
    mine = col(CampaignContactRow.campaign_id) == row.id
    totals = Totals.of((await service.counted(session, [row.id])).get(row.id, {}))
    reasons = await session.exec(
        select(CampaignContactRow.reason, func.count())
        .where(mine, col(CampaignContactRow.status) == SKIPPED)
        .group_by(col(CampaignContactRow.reason))
    )
    attempts = await session.exec(select(func.sum(CampaignContactRow.attempts)).where(mine))
    times = await session.exec(
        select(CallRow.started_at, CallRow.ended_at)
        .join(CampaignContactRow, col(CampaignContactRow.call_id) == col(CallRow.id))
        .where(mine, col(CallRow.started_at).is_not(None), col(CallRow.ended_at).is_not(None))
    )
    talked = sum((end - begin).total_seconds() for begin, end in times.all() if begin and end)
    over = totals.completed + totals.failed
    return Results(
        campaign_id=row.id,
        name=row.name,
        status=cast("Status", row.status),
        stats=totals,
        outcomes=await service.outcomes(session, row.id),
        skipped_reasons={str(name or ""): int(count) for name, count in reasons.all()},
        success_rate=round(totals.completed / over, 4) if over else None,
        total_attempts=int(attempts.one() or 0),
        total_duration_seconds=round(talked, 3),
        started_at=row.started_at,
        completed_at=row.completed_at,
    )


async def sheet(session: AsyncSession, row: CampaignRow) -> AsyncIterator[bytes]:
    """A line for each person, a thousand at a time, with the columns that they came with."""
    yield written([[*HEADER, *row.columns]])
    async for people in _pieces(session, row):
        yield written(_line(row, person, call) for person, call in people)


def _line(row: CampaignRow, person: CampaignContactRow, call: CallRow | None) -> list[str]:
    milliseconds = None if call is None else call.duration_ms
    return [
        person.phone_number,
        person.name,
        person.status,
        person.outcome or "",
        str(person.attempts),
        person.call_id or "",
        "" if milliseconds is None else f"{milliseconds / 1000:.1f}",
        person.reason or "",
        person.dialled_at.isoformat() if person.dialled_at else "",
        person.ended_at.isoformat() if person.ended_at else "",
        *(person.variables.get(column, "") for column in row.columns),
    ]


async def _pieces(
    session: AsyncSession, row: CampaignRow, status: str | None = None
) -> AsyncIterator[Sequence[tuple[CampaignContactRow, CallRow | None]]]:
    """A campaign's people with their newest calls, in their order; nothing that was passed is kept."""
    position, number = -1, ""
    place = col(CampaignContactRow.position)
    while True:
        asked = (
            select(CampaignContactRow, CallRow)
            .join(CallRow, col(CallRow.id) == col(CampaignContactRow.call_id), isouter=True)
            .where(CampaignContactRow.campaign_id == row.id, place >= position)
            .where((place > position) | (col(CampaignContactRow.phone_number) > number))
            .order_by(place, col(CampaignContactRow.phone_number))
            .limit(AT_ONCE)
        )
        if status is not None:
            asked = asked.where(CampaignContactRow.status == status)
        people = list((await session.exec(asked)).all())
        if not people:
            return
        position, number = people[-1][0].position, people[-1][0].phone_number
        yield people
        for person, call in people:
            session.expunge(person)
            if call is not None and call in session:
                session.expunge(call)


async def _problems(session: AsyncSession, row: CampaignRow) -> list[str]:
    problems = [row.problem] if row.problem else []
    try:
        await agents.of_owner(session, row.owner_id, row.agent_id)
        await routing.outbound(session, row.owner_id, row.agent_id, row.from_number)
    except ApiError as error:
        problems.append(str(error))
    return problems
