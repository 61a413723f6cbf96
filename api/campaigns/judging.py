"""Who of a campaign may be called, when, and why not: asked before each call and by the preview."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api import telephone
from api.campaigns.hours import opening
from api.campaigns.table import CampaignContactRow, CampaignRow
from api.contacts import service as contacts
from api.contacts.table import DENIED, GRANTED, ContactRow
from api.hours import CallingHours

_ZONE_COLUMNS = ("timezone", "time_zone")


@dataclass(frozen=True)
class Verdict:
    """What is to be done with one person now."""

    skip: str = ""
    """Why they are not called at all; empty where they may be."""
    not_before: datetime | None = None
    """When they may be called, where that is later."""


@dataclass(frozen=True)
class Known:
    """What is known of some people: who must not be called, and who of them is a contact."""

    barred: set[str]
    contacts: Mapping[str, ContactRow]


async def look_up(session: AsyncSession, owner_id: str, numbers: Sequence[str]) -> Known:
    """Ask for some numbers at once."""
    known: dict[str, ContactRow] = {}
    for start in range(0, len(numbers), contacts.IN_ONE_QUERY):
        found = await session.exec(
            select(ContactRow).where(
                ContactRow.owner_id == owner_id,
                col(ContactRow.phone_number).in_(numbers[start : start + contacts.IN_ONE_QUERY]),
            )
        )
        known.update({row.phone_number: row for row in found.all()})
    return Known(await contacts.barred(session, owner_id, numbers), known)


def judge(campaign: CampaignRow, person: CampaignContactRow, known: Known, at: datetime) -> Verdict:
    """Whether this person may be called now."""
    contact = known.contacts.get(person.phone_number)
    skip = _why_never(campaign, person, contact, known)
    if skip or campaign.calling_hours is None:
        return Verdict(skip)
    hours = CallingHours.model_validate(campaign.calling_hours)
    opens = opening(hours, zones_of(campaign, person, contact), at)
    if opens is None:
        return Verdict(skip="no_common_hour")
    return Verdict() if opens <= at else Verdict(not_before=opens)


def _why_never(
    campaign: CampaignRow, person: CampaignContactRow, contact: ContactRow | None, known: Known
) -> str:
    if person.phone_number in known.barred:
        return "do_not_call"
    if contact is not None and contact.consent == DENIED:
        return "consent_denied"
    if campaign.consent_required and (contact is None or contact.consent != GRANTED):
        return "no_consent"
    return "" if telephone.is_valid(person.phone_number) else "invalid_number"


def zones_of(
    campaign: CampaignRow, person: CampaignContactRow, contact: ContactRow | None
) -> tuple[str, ...]:
    """The clocks a person may live by: what is known, else what the number says, else the campaign's."""
    named = [person.variables.get(column, "") for column in _ZONE_COLUMNS]
    for zone in (contact.timezone if contact is not None else "", *named):
        if telephone.is_zone(zone):
            return (zone,)
    return telephone.zones(person.phone_number) or (campaign.timezone,)
