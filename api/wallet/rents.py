"""What a bought number costs: held back while it is ordered, charged once with it, then each month once."""

from dataclasses import dataclass

from sqlmodel import col, delete, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.db.inserts import insert_new
from api.http.errors import PaymentRequired
from api.wallet import ledger
from api.wallet.charges import InsufficientBalance
from api.wallet.money import text
from api.wallet.table import HoldRow, TransactionRow

_PREFIX = "number:"


class NeverPaid(PaymentRequired):
    """A number needs money that was paid in: credit that was given to try things with buys none"""


@dataclass(frozen=True)
class Rent:
    """A price, and what the carrier takes of it; in micro-dollars."""

    price: int
    cost: int

    @property
    def margin(self) -> int:
        """What is left here."""
        return self.price - self.cost


def order_of(key: str) -> str:
    """The order whose first or later month a transaction of this key is."""
    return key.split(":")[1]


async def has_paid(session: AsyncSession, owner_id: str) -> bool:
    """Whether an owner ever added money, other than the welcome credit."""
    found = await session.exec(
        select(TransactionRow.id)
        .where(
            TransactionRow.owner_id == owner_id,
            TransactionRow.type == "topup",
            col(TransactionRow.key).not_like("bonus:%"),
        )
        .limit(1)
    )
    return found.one_or_none() is not None


async def hold(session: AsyncSession, order_id: str, owner_id: str, price: int, *, is_billed: bool) -> None:
    """Hold back what a number costs at first. Raises `NeverPaid` and `InsufficientBalance`."""
    if is_billed:
        wallet = await ledger.lock(session, owner_id)
        if not await has_paid(session, owner_id):
            raise NeverPaid
        if wallet.balance_micros - await ledger.held(session, owner_id) < price:
            raise InsufficientBalance
    row = HoldRow(
        call_id=f"{_PREFIX}{order_id}",
        owner_id=owner_id,
        is_billed=is_billed,
        amount_micros=price if is_billed else 0,
        seconds=0,
        tariff={"number": text(price)},
    )
    await insert_new(session, HoldRow, [row])


async def let_go(session: AsyncSession, order_id: str) -> None:
    """Give back what was held: there is no number."""
    await session.exec(delete(HoldRow).where(col(HoldRow.call_id) == f"{_PREFIX}{order_id}"))


async def charge_first(
    session: AsyncSession, order_id: str, owner_id: str, number: str, rent: Rent, *, is_billed: bool
) -> None:
    """Charge a number that was bought, and let go of what was held. Again, it changes nothing."""
    await let_go(session, order_id)
    what = f"Number {number}: set-up and first month"
    await _post(session, f"{_PREFIX}{order_id}", owner_id, what, rent, is_billed=is_billed)


async def charge_month(
    session: AsyncSession,
    order_id: str,
    owner_id: str,
    number: str,
    month: int,
    rent: Rent,
    *,
    is_billed: bool,
) -> None:
    """Charge one month, the second and later ones, once. Raises `InsufficientBalance`."""
    if is_billed:
        wallet = await ledger.lock(session, owner_id)
        if wallet.balance_micros - await ledger.held(session, owner_id) < rent.price:
            raise InsufficientBalance
    what = f"Number {number}: month {month}"
    await _post(session, f"rent:{order_id}:{month}", owner_id, what, rent, is_billed=is_billed)


async def _post(
    session: AsyncSession, key: str, owner_id: str, what: str, rent: Rent, *, is_billed: bool
) -> None:
    if not rent.price and not rent.cost:
        return
    payer = ledger.wallet(owner_id) if is_billed else "house"
    entries = {payer: -rent.price, "revenue": rent.price}
    if rent.cost:
        entries |= {"provider_cost": -rent.cost, "provider_due": rent.cost}
    row = TransactionRow(
        key=key,
        owner_id=owner_id,
        type="usage",
        amount_micros=-rent.price,
        description=what + ("" if is_billed else "; paid by this server (billing is off)"),
        explanation={
            "carrier_usd": text(rent.cost),
            "margin_usd": text(rent.margin),
            "total_usd": text(rent.price),
            "paid_by": "wallet" if is_billed else "this server",
        },
        cost_micros=rent.cost,
        margin_micros=rent.margin,
        endpoint_type="number",
    )
    await ledger.post(session, row, entries)
