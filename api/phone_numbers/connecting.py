"""The connection that bought numbers come over: made at the carrier by itself, kept as a trunk of the house.

name and password written down ──► connection at the carrier ──► its id written down, the trunk is in use
                                      └─ found by its name, where a process died before the last step

The exchange registers with every trunk that is in use (`/internal/phones/trunks`), so also with this one.
"""

import secrets

from pydantic import SecretStr
from sqlmodel.ext.asyncio.session import AsyncSession

from api.db.inserts import insert_new
from api.durable import engine
from api.outside.carrier import Carrier, CarrierUnavailable, Credentials
from api.phone_numbers.table import CarrierConnectionRow
from api.sip_trunks.table import SipTrunkRow

TELNYX_SIGNALLING = (
    *("192.76.120.10", "64.16.250.10"),  # United States
    *("193.108.220.10", "193.108.220.25"),  # Canada
    *("5.172.39.10", "5.172.39.25"),  # Europe
    *("103.135.104.10", "103.135.104.25"),  # Australia
)
"""Where Telnyx's calls come from: https://developers.telnyx.com/docs/voice/sip-trunking/routing/failover-and-retries"""


async def connection(carrier: Carrier) -> tuple[str, str]:
    """The connection's id at the carrier, and the trunk's here. Made once, by whoever comes first."""
    reach = engine.reach()
    async with reach.database.transaction(is_durable=True) as session:
        row, trunk = await _written(session, carrier, *reach.carrier_sip)
        if row.connection_id is not None:
            return row.connection_id, trunk.id
        name, password = trunk.sip_username, trunk.sip_password
    if name is None or password is None:
        raise CarrierUnavailable("the trunk of this installation has no credentials")
    made = await carrier.connect(Credentials(name, password.get_secret_value()))
    async with reach.database.transaction(is_durable=True) as session:
        row, trunk = await _written(session, carrier, *reach.carrier_sip)
        row.connection_id, trunk.active = made, True
        session.add(row)
        session.add(trunk)
        return made, trunk.id


async def _written(
    session: AsyncSession, carrier: Carrier, server: str, transport: str
) -> tuple[CarrierConnectionRow, SipTrunkRow]:
    """The two rows, locked; two who write them at once write them once."""
    trunk_id = f"trunk_{carrier.name}"
    name = f"call2me{secrets.token_hex(8)}"
    is_telnyx = server.partition(":")[0].endswith((".telnyx.com", ".telnyx.eu", ".telnyx.com.au"))
    trunk = SipTrunkRow(
        id=trunk_id,
        name=carrier.name.capitalize(),
        sip_server=server,
        sip_transport=transport,
        sip_username=name,
        sip_password=SecretStr(secrets.token_urlsafe(24)),
        sip_register=True,
        allowed_addresses=list(TELNYX_SIGNALLING) if is_telnyx else [],
        active=False,
    )
    await insert_new(session, SipTrunkRow, [trunk])
    row = CarrierConnectionRow(carrier=carrier.name, trunk_id=trunk_id)
    await insert_new(session, CarrierConnectionRow, [row])
    kept = await session.get_one(CarrierConnectionRow, carrier.name, with_for_update=True)
    known = await session.get_one(SipTrunkRow, kept.trunk_id, with_for_update=True)
    known.sip_server, known.sip_transport = server, transport  # the settings may have changed
    session.add(known)
    return kept, known
