"""Buying and giving back, whatever dies in between: `number-<order>-<look>`, `release-<order>-<look>`.

 ┌── written ──► connection ──► ordered before, under our reference? ──no──► order it, once
 │                                          └─yes──► how is it? ─┬─ success ──► charge, let it ring
 └──────────── looked at again later ◄───── pending ◄────────────┼─ pending
                                                                 └─ failure ──► money back

A number is one: what is sold cannot be ordered a second time, so an order that was sent twice because its
answer was lost is refused, and the first one is found by its reference. Money stays held until the carrier
says what became of the order; it is charged in the transaction that makes the number its owner's.
"""

import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial

from dbos import DBOS
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.db.columns import now
from api.db.engine import after_commit
from api.durable import engine
from api.http.callers import Caller
from api.outside.carrier import Carrier, CarrierRefused, CarrierUnavailable, Order
from api.phone_numbers import buying, connecting, service
from api.phone_numbers.schemas import BOUGHT
from api.phone_numbers.table import ORDERING, RELEASING, NumberOrderRow

_LOG = logging.getLogger(__name__)

QUEUE = "numbers"
AT_ONCE = 4
DELAYS = (1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0)
"""Between looks; the last one for ever after."""
GIVEN_UP_AFTER = timedelta(hours=24)
"""An order that is pending for this long is cancelled: it waits for papers that nobody sends."""
SETTLED_AFTER = timedelta(minutes=10)
"""By then an order that was taken stands in the carrier's list, also where its answer was lost."""
OVERDUE_SECONDS = 60.0


@DBOS.workflow(name="number")
async def buy(order_id: str, look: int) -> None:
    """See to an order once, then arrange the next look."""
    with engine.at_work():
        if (delay := await see_to(order_id, look)) is not None:
            await queue(order_id, look + 1, delay)


@DBOS.step(name="number.see_to", retries_allowed=True, max_attempts=3)
async def see_to(order_id: str, look: int) -> float | None:
    """One look at an order; the seconds to the next one, None where there is none."""
    order = await _begun(order_id, look, ORDERING)
    if order is None:
        return None
    if order.asked_at is None and now() - order.created_at > GIVEN_UP_AFTER:
        await _fail(order.id, "the carrier could not be asked for a day")
        return None
    if (carrier := engine.reach().carrier) is None:
        return DELAYS[-1]  # the setting is gone: the order, and its money, wait until it is back
    is_over = False
    try:
        is_over = await _advance(carrier, order)
    except (CarrierUnavailable, CarrierRefused) as error:
        _LOG.warning("a number is not bought yet", extra={"order_id": order_id, "why": str(error)})
    return None if is_over else DELAYS[min(look, len(DELAYS)) - 1]


async def _advance(carrier: Carrier, order: NumberOrderRow) -> bool:
    """One step on at the carrier; True where there is nothing more to be looked at."""
    connection_id, trunk_id = await connecting.connection(carrier)
    known = await _placed(carrier, order, connection_id)
    if known is None:
        return True
    if known.status == "failure":
        await _fail(order.id, buying.PAPERS if known.needs_documents else "the carrier could not deliver it")
        return True
    if known.status == "pending" and now() - order.created_at > GIVEN_UP_AFTER:
        await carrier.cancel(known.order_id)
    held = await carrier.held(order.number) if known.status == "success" else None
    if held is None:
        return False  # also where the order is there before its number is
    if held.connection_id != connection_id:
        await carrier.assign(held.number_id, connection_id)
    async with engine.reach().database.transaction(is_durable=True) as session:
        became = await buying.finish(session, order.id, held.number_id, trunk_id)
    if became == RELEASING:
        await queue_release(order.id, 1)
    return True


async def _begun(order_id: str, look: int, status: str) -> NumberOrderRow | None:
    """The order, where this look is the next one; noted, so that the sweeper sees that it is worked on."""
    async with engine.reach().database.transaction() as session:
        order = await buying.locked(session, order_id)
        if order is None or order.status != status:
            return None
        order.tries, order.seen_at = max(order.tries, look), now()
        session.add(order)
        return order


async def _placed(carrier: Carrier, order: NumberOrderRow, connection_id: str) -> Order | None:
    """The order at the carrier, placed now if it is not there yet; None where it came to nothing."""
    if order.carrier_order_id is not None:
        return await carrier.get_order(order.carrier_order_id)
    known = await carrier.ordered(order.id)
    if known is None:
        if now() - order.created_at > GIVEN_UP_AFTER:
            await _fail(order.id, "the carrier did not take the order for a day")
            return None
        async with engine.reach().database.transaction(is_durable=True) as session:
            first_asked = await buying.note_asked(session, order.id)
        try:
            known = await carrier.order(order.number, order.id, connection_id)
        except CarrierRefused as refused:
            # Perhaps because we have it already: by an order of ours whose answer was lost.
            known = await carrier.ordered(order.id)
            if known is None:
                if first_asked is not None and now() - first_asked < SETTLED_AFTER:
                    raise CarrierUnavailable("refused, and asked before: its list may lag behind") from None
                await _fail(order.id, str(refused))
                return None
    async with engine.reach().database.transaction(is_durable=True) as session:
        await buying.note_placed(session, order.id, known)
    return known


async def _fail(order_id: str, why: str) -> None:
    """There will be no number, and no further look."""
    async with engine.reach().database.transaction(is_durable=True) as session:
        await buying.fail(session, order_id, why)


# ── giving back ──────────────────────────────────────────────────────────────────────────────────
@DBOS.workflow(name="number_release")
async def release(order_id: str, look: int) -> None:
    """Tell the carrier once, then arrange the next try."""
    with engine.at_work():
        if (delay := await hand_back(order_id, look)) is not None:
            await queue_release(order_id, look + 1, delay)


@DBOS.step(name="number.hand_back", retries_allowed=True, max_attempts=3)
async def hand_back(order_id: str, look: int) -> float | None:
    """Release a number at the carrier; what is gone there already is released."""
    order = await _begun(order_id, look, RELEASING)
    if order is None:
        return None
    carrier = engine.reach().carrier
    delay = DELAYS[min(look + 3, len(DELAYS)) - 1]
    if carrier is None:
        return DELAYS[-1]
    try:
        held = await carrier.held(order.number)
        # Only the very number that we bought: somebody may have bought it anew by hand.
        if held is not None and order.carrier_number_id in (None, held.number_id):
            await carrier.release(held.number_id)
    except (CarrierUnavailable, CarrierRefused) as error:
        _LOG.warning("number not given back yet", extra={"order_id": order_id, "why": str(error)})
        return delay
    async with engine.reach().database.transaction(is_durable=True) as session:
        await buying.note_released(session, order_id)
    return None


async def remove(session: AsyncSession, caller: Caller, number: str) -> str:
    """Forget one of the caller's numbers, and give back one that was bought; returns it as it was kept."""
    row = await service.get(session, caller, number)
    order = await buying.of_number(session, row) if row.provider == BOUGHT else None
    if order is None:
        return await service.remove(session, caller, number)
    await buying.give_back(session, order)
    after_commit(session, partial(queue_release, order.id, 1))
    return order.number


# ── what starts them ─────────────────────────────────────────────────────────────────────────────
async def queue(order_id: str, look: int, delay_seconds: float = 0.0) -> None:
    """Have an order seen to. Never raises, since the sweeper asks again."""
    await _queued(
        order_id,
        lambda: engine.enqueue(
            QUEUE, f"number-{order_id}-{look}", buy, order_id, look, delay_seconds=delay_seconds
        ),
    )


async def queue_release(order_id: str, look: int, delay_seconds: float = 0.0) -> None:
    """The same for a number that goes back."""
    await _queued(
        order_id,
        lambda: engine.enqueue(
            QUEUE, f"release-{order_id}-{look}", release, order_id, look, delay_seconds=delay_seconds
        ),
    )


async def look_now(carrier_order_id: str) -> None:
    """The carrier says that something happened to an order: look at it, without believing what it says."""
    async with engine.reach().database.transaction(writes=False) as session:
        found = await session.exec(
            select(NumberOrderRow.id, NumberOrderRow.tries).where(
                NumberOrderRow.carrier_order_id == carrier_order_id, NumberOrderRow.status == ORDERING
            )
        )
        known = found.one_or_none()
    if known is not None:
        await _queued(
            known[0],
            lambda: engine.enqueue(QUEUE, f"number-{known[0]}-{known[1]}-told", buy, known[0], known[1] + 1),
        )


async def _queued(order_id: str, enqueue: Callable[[], Awaitable[None]]) -> None:
    try:
        await enqueue()
    except Exception as error:  # noqa: BLE001 - the order is committed; the sweeper queues what this did not
        _LOG.warning("order not queued", extra={"order_id": order_id, "error": type(error).__name__})


async def sweep() -> None:
    """See to what nobody saw to for longer than the next look was to wait."""
    async with engine.reach().database.transaction(writes=False) as session:
        found = await session.exec(
            select(NumberOrderRow.id, NumberOrderRow.status, NumberOrderRow.tries, NumberOrderRow.seen_at)
            .where(
                col(NumberOrderRow.status).in_((ORDERING, RELEASING)),
                col(NumberOrderRow.seen_at) < now() - timedelta(seconds=OVERDUE_SECONDS),
            )
            .order_by(col(NumberOrderRow.seen_at))
            .limit(200)
        )
        late = found.all()
    for order_id, status, tries, seen_at in late:
        waits = DELAYS[min(max(tries, 1) + (3 if status == RELEASING else 0), len(DELAYS)) - 1]
        if now() - seen_at < timedelta(seconds=OVERDUE_SECONDS + waits):
            continue
        name, work = ("number", buy) if status == ORDERING else ("release", release)
        await engine.enqueue_again(QUEUE, f"{name}-{order_id}-{tries + 1}", work, order_id, tries + 1)
