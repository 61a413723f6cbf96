"""Who of a campaign may be called, when, and why not: asked before each call and by the preview."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api import telephone
from api.calls import tolls
from api.calls.table import CallRow
from api.campaigns.hours import opening
from api.campaigns.table import CampaignContactRow, CampaignRow
from api.contacts import service as contacts
from api.contacts.table import DENIED, GRANTED, ContactRow
from api.durable import engine
from api.hours import CallingHours

_ZONE_COLUMNS = ("timezone", "time_zone")
HOURS, OFTEN = "outside of calling hours", "called as often as allowed today"
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Verdict:
    """What is to be done with one person now."""

    skip: str = ""
    """Why they are not called at all; empty where they may be."""
    not_before: datetime | None = None
    """When they may be called, where that is later."""
    waits: str = ""
    """Why it is later."""


@dataclass(frozen=True)
class Known:
    """What is known of some people: who must not be called, who is a contact, who was called today."""

    barred: set[str]
    contacts: Mapping[str, ContactRow]
    called: Mapping[str, Sequence[datetime]]
    """When a number was called in the last day, by whatever of the owner's, newest first."""


async def look_up(
    session: AsyncSession, campaign: CampaignRow, numbers: Sequence[str], at: datetime
) -> Known:
    """Ask for some numbers at once."""
    owner_id, known = campaign.owner_id, dict[str, ContactRow]()
    called: dict[str, list[datetime]] = {}
    for start in range(0, len(numbers), contacts.IN_ONE_QUERY):
        found = await session.exec(
            select(ContactRow).where(
                ContactRow.owner_id == owner_id,
                col(ContactRow.phone_number).in_(numbers[start : start + contacts.IN_ONE_QUERY]),
            )
        )
        known.update({row.phone_number: row for row in found.all()})
        if campaign.max_daily_per_number is None:
            continue
        dialled = await session.exec(
            select(CallRow.to_number, CallRow.created_at)
            .where(
                CallRow.owner_id == owner_id,
                CallRow.direction == "outbound",
                col(CallRow.created_at) > at - _DAY,
                col(CallRow.to_number).in_(numbers[start : start + contacts.IN_ONE_QUERY]),
            )
            .order_by(col(CallRow.created_at).desc())
        )
        for number, when in dialled.all():
            called.setdefault(number or "", []).append(when)
    return Known(await contacts.barred(session, owner_id, numbers), known, called)


def judge(campaign: CampaignRow, person: CampaignContactRow, known: Known, at: datetime) -> Verdict:
    """Whether this person may be called now."""
    contact = known.contacts.get(person.phone_number)
    if skip := _why_never(campaign, person, contact, known):
        return Verdict(skip)
    rested = soonest = _rested(campaign, known.called.get(person.phone_number, ()), at)
    if campaign.calling_hours is not None:
        hours = CallingHours.model_validate(campaign.calling_hours)
        opens = opening(hours, zones_of(campaign, person, contact), soonest)
        if opens is None:
            return Verdict(skip="no_common_hour")
        soonest = opens
    if soonest <= at:
        return Verdict()
    return Verdict(not_before=soonest, waits=HOURS if soonest > rested else OFTEN)


def _rested(campaign: CampaignRow, called: Sequence[datetime], at: datetime) -> datetime:
    """When one call more is not one too many of a day."""
    most = campaign.max_daily_per_number
    return at if most is None or len(called) < most else max(at, called[most - 1] + _DAY)


def _why_never(
    campaign: CampaignRow, person: CampaignContactRow, contact: ContactRow | None, known: Known
) -> str:
    if person.phone_number in known.barred:
        return "do_not_call"
    if contact is not None and contact.consent == DENIED:
        return "consent_denied"
    if campaign.consent_required and (contact is None or contact.consent != GRANTED):
        return "no_consent"
    if not telephone.is_valid(person.phone_number):
        return "invalid_number"
    try:
        tolls.check(engine.reach().tolls, person.phone_number)
    except tolls.DestinationRefused:
        return "destination_refused"
    return ""


def zones_of(
    campaign: CampaignRow, person: CampaignContactRow, contact: ContactRow | None
) -> tuple[str, ...]:
    """The clocks a person may live by: what is known, else what the number says, else the campaign's."""
    named = [person.variables.get(column, "") for column in _ZONE_COLUMNS]
    for zone in (contact.timezone if contact is not None else "", *named):
        if telephone.is_zone(zone):
            return (zone,)
    return telephone.zones(person.phone_number) or (campaign.timezone,)
