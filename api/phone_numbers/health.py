"""Whether a number works: what a call over it needs, one after the other."""

from dataclasses import dataclass

from sqlmodel.ext.asyncio.session import AsyncSession

from api.durable import engine
from api.http.callers import Caller
from api.outside.carrier import CarrierRefused, CarrierUnavailable
from api.outside.phones import NO_LINE
from api.phone_numbers import service
from api.phone_numbers.market_schemas import Checked, NumberHealth
from api.phone_numbers.schemas import BOUGHT
from api.phone_numbers.table import ACTIVE, CarrierConnectionRow, PhoneNumberRow
from api.sip_trunks.explaining import unheard
from api.sip_trunks.table import SipTrunkRow

_WORDS = {
    ACTIVE: "It is yours.",
    "pending": "It is being bought: mostly a matter of seconds.",
    "suspended": "Its rent is owed: add credit.",
}


@dataclass(frozen=True)
class Known:
    """What the database says of a number."""

    row: PhoneNumberRow
    agent_name: str | None
    trunk: SipTrunkRow | None
    connection_id: str | None


async def known(session: AsyncSession, caller: Caller, number: str) -> Known:
    """Read it all, before anybody else is asked."""
    row, agent_name, _, _ = await service.named(session, caller, number)
    trunk = await session.get(SipTrunkRow, row.trunk_id) if row.trunk_id else None
    connection = await session.get(CarrierConnectionRow, row.provider)
    return Known(row, agent_name, trunk, connection.connection_id if connection else None)


async def check(known: Known) -> NumberHealth:
    """Every check, each with a sentence that says what to do."""
    row = known.row
    checks = [_standing(row)]
    if row.provider == BOUGHT and row.standing == ACTIVE:
        checks.append(await _at_carrier(known))
    checks.append(await _line(known.trunk))
    is_bound = row.agent_id is not None
    answers = f"{known.agent_name} answers." if is_bound else "No agent answers: bind one to it."
    checks.append(Checked(name="agent", ok=is_bound, message=answers))
    return NumberHealth(phone_number=row.number, healthy=all(one.ok for one in checks), checks=checks)


def _standing(row: PhoneNumberRow) -> Checked:
    is_good = row.active and row.standing == ACTIVE
    words = _WORDS[row.standing] if row.active else 'It is at rest: PATCH it with "active": true.'
    return Checked(name="number", ok=is_good, message=words)


async def _at_carrier(known: Known) -> Checked:
    carrier = engine.reach().carrier
    is_good, words = False, "The carrier has it, and sends its calls here."
    if carrier is None:
        words = "No carrier is set up here any more."
    else:
        try:
            held = await carrier.held(known.row.number)
        except (CarrierUnavailable, CarrierRefused):
            held, words = None, "The carrier does not answer."
        else:
            if held is None:
                words = "The carrier says that it is not ours."
            elif held.status != "active":
                words = f"The carrier says that it is {held.status[:40]}."
            elif held.connection_id != known.connection_id:
                words = "At the carrier its calls go elsewhere: somebody moved it to another connection."
            else:
                is_good = True
    return Checked(name="carrier", ok=is_good, message=words)


async def _line(trunk: SipTrunkRow | None) -> Checked:
    phones = engine.reach().phones
    if why_not := await phones.phones_why_not():
        because = why_not.removeprefix(NO_LINE).removeprefix(": ")
        words = f"There is {NO_LINE}: {because}." if because else f"There is {NO_LINE}."
        return Checked(name="line", ok=False, message=words)
    if trunk is None:
        return Checked(name="line", ok=True, message="The phone line is up; the number is bound to no trunk.")
    if not trunk.active:
        return Checked(name="line", ok=False, message="Its trunk is not active.")
    if not trunk.registers:
        warning = unheard((await phones.trunks()).get(trunk.id, ""))
        words = f"The phone line is up; its trunk needs no registration.{warning}"
        return Checked(name="line", ok=True, message=words)
    why_not = (await phones.trunks()).get(trunk.id, "the phone line has not told of this trunk yet")
    words = f"Not usable: {why_not}." if why_not else "Its trunk is registered."
    return Checked(name="line", ok=not why_not, message=words)
