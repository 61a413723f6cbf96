"""Has the messages of bought numbers come here: one profile at the carrier, with our address, for all."""

import logging
import secrets
from datetime import timedelta
from typing import Any

from sqlmodel import col, or_, select, update

from api.db.columns import now
from api.db.inserts import insert_new
from api.durable import engine
from api.outside.carrier import Carrier, CarrierRefused, CarrierUnavailable
from api.phone_numbers.table import OURS, NumberOrderRow
from api.sms import means
from api.sms.table import SmsNumberRow, SmsProfileRow

_LOG = logging.getLogger(__name__)

AT_ONCE = 20
AGAIN = timedelta(minutes=5)
REFUSED_AGAIN = timedelta(days=1)
"""Of a number that can do no messages: somebody may have seen to that."""
AGAIN_SOON = timedelta(seconds=20)
LEASE = timedelta(minutes=5)
"""Longer than the carrier can take over all that is asked of it for a profile."""


async def sweep() -> None:
    """See to numbers that were bought, and to all of them when our address is another one."""
    reach = engine.reach()
    if reach.carrier is None:
        return
    async with reach.database.transaction(writes=False) as session:
        found = await session.exec(
            select(NumberOrderRow.id, NumberOrderRow.carrier_number_id)
            .join(SmsNumberRow, col(SmsNumberRow.order_id) == col(NumberOrderRow.id), isouter=True)
            .where(
                NumberOrderRow.status == OURS,
                col(NumberOrderRow.carrier_number_id).is_not(None),
                col(SmsNumberRow.profile_id).is_(None),
                or_(col(SmsNumberRow.order_id).is_(None), col(SmsNumberRow.due_at) < now()),
            )
            .order_by(col(NumberOrderRow.created_at))
            .limit(AT_ONCE)
        )
        waiting = found.all()
        profile = await session.get(SmsProfileRow, reach.carrier.name)
    has_moved = profile is not None and profile.events_url != means.at_hand().events_url
    if not waiting and not has_moved:
        return
    try:
        profile_id = await _profile(reach.carrier)
    except (CarrierUnavailable, CarrierRefused) as error:
        _LOG.warning("no profile for text messages yet", extra={"why": str(error)})
        return
    if profile_id is None:
        return
    for order_id, number_id in waiting:
        await _enable(reach.carrier, order_id, number_id or "", profile_id)


async def _profile(carrier: Carrier) -> str | None:
    """The profile's id; found by its name where a process died before it was written down.

    None while another process asks the carrier for it: names are not unique there, so two that look for one
    at once and find none would both make it.
    """
    reach, url, claim = engine.reach(), means.at_hand().events_url, engine.holder()
    async with reach.database.transaction(is_durable=True) as session:
        made = SmsProfileRow(carrier=carrier.name, name=f"call2me{secrets.token_hex(8)}")
        await insert_new(session, SmsProfileRow, [made])
        row = await session.get_one(SmsProfileRow, carrier.name, with_for_update=True)
        if row.profile_id is not None and row.events_url == url:
            return row.profile_id
        if row.claim is not None and row.claimed_until > now() and not engine.is_gone(row.claim):
            return None
        row.claim, row.claimed_until = claim, now() + LEASE
        session.add(row)
        name = row.name
    try:
        profile_id = await carrier.texts.profile(name, url, reach.tolls.countries)
    except (CarrierUnavailable, CarrierRefused):
        # What was not answered may come about in a moment, and could not be found yet.
        await _noted(carrier, claim, {"claimed_until": now() + AGAIN_SOON})
        raise
    await _noted(carrier, claim, {"claim": None, "profile_id": profile_id, "events_url": url})
    return profile_id


async def _noted(carrier: Carrier, claim: str, values: dict[str, Any]) -> None:
    """Unless it took so long that another process asks by now."""
    async with engine.reach().database.transaction(is_durable=True) as session:
        await session.exec(
            update(SmsProfileRow)
            .where(col(SmsProfileRow.carrier) == carrier.name, col(SmsProfileRow.claim) == claim)
            .values(values)
        )


async def _enable(carrier: Carrier, order_id: str, number_id: str, profile_id: str) -> None:
    row = SmsNumberRow(order_id=order_id)
    try:
        await carrier.texts.enable(number_id, profile_id)
        row.profile_id = profile_id
    except CarrierRefused as refused:
        row.why, row.due_at = str(refused), now() + REFUSED_AGAIN
    except CarrierUnavailable as error:
        row.why, row.due_at = str(error), now() + AGAIN
    if row.why:  # which may name the number, so it is in the row and not in the log
        _LOG.warning("a number has no text messages yet", extra={"order_id": order_id})
    async with engine.reach().database.transaction() as session:
        if await session.get(NumberOrderRow, order_id) is not None:
            await session.merge(row)
