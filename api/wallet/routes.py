"""/v1/wallet: what one has and where it went; /v1/pricing: what things cost."""

from decimal import Decimal

from aiohttp import web

from api.http.errors import Forbidden
from api.http.routes import Routes
from api.http.transactions import let_go
from api.keys import CALLER, SESSION, SETTINGS
from api.wallet import export, ledger, reading
from api.wallet import rates as price_list
from api.wallet.money import dollars, micros, rounded
from api.wallet.rates import Rates
from api.wallet.schemas import (
    AffordQuery,
    Analytics,
    AnalyticsQuery,
    AutoRecharge,
    Balance,
    CanAfford,
    DaysQuery,
    Estimate,
    EstimateQuery,
    ExportQuery,
    PricingInfo,
    ToppedUp,
    TopUp,
    Transaction,
    TransactionList,
    TransactionQuery,
    UsageStats,
    Wallet,
    WalletSummary,
)
from api.wallet.table import AutoChargeRow

routes = Routes("/v1/wallet", tag="Wallet")
pricing = Routes("/v1/pricing", tag="Public", access="public")


class TopUpDisabled(Forbidden):
    """Nobody adds to their own wallet; an administrator does, with `call2me wallet credit`"""


def _rates(request: web.Request) -> Rates:
    return price_list.load(request.app[SETTINGS].rates)


@routes.get(replaced_by="/balance")
async def get_wallet(request: web.Request) -> Wallet:
    """Get what you have."""
    session, owner_id = request[SESSION], request[CALLER].owner_id
    auto = await session.get(AutoChargeRow, owner_id)
    return Wallet(
        balance_usd=dollars(await ledger.balance(session, owner_id)), auto_recharge=AutoRecharge.of(auto)
    )


@routes.get("/balance")
async def get_balance(request: web.Request) -> Balance:
    """Get what you have, and whether a call could begin."""
    session, owner_id, rates = request[SESSION], request[CALLER].owner_id, _rates(request)
    has, held = await ledger.balance(session, owner_id), await ledger.held(session, owner_id)
    is_billing = request.app[SETTINGS].is_billing
    left = has - held
    return Balance(
        balance_usd=dollars(has),
        has_balance=has > 0,
        can_proceed=not is_billing or (left > 0 and left >= micros(rates.min_balance_usd)),
        min_balance=float(rates.min_balance_usd),
        margin_percent=float(rates.margin_percent),
        held_usd=dollars(held),
        billing_enabled=is_billing,
    )


@routes.get("/summary")
async def get_wallet_summary(request: web.Request) -> WalletSummary:
    """Get what came in and what went out, since the beginning."""
    session, owner_id = request[SESSION], request[CALLER].owner_id
    came, used, margin, count, last = await reading.totals(session, owner_id)
    return WalletSummary(
        current_balance=dollars(await ledger.balance(session, owner_id)),
        total_topup=dollars(came),
        total_usage=dollars(used),
        total_margin_paid=dollars(margin),
        usage_count=count,
        last_usage_at=last,
        margin_percent=float(_rates(request).margin_percent),
    )


@routes.post("/topup", errors=[TopUpDisabled])
async def top_up(request: web.Request, body: TopUp) -> ToppedUp:
    """Refused with 403: money comes in by a payment or by an administrator's grant."""
    raise TopUpDisabled


@routes.get("/transactions")
async def list_transactions(request: web.Request, query: TransactionQuery) -> TransactionList:
    """List what happened to your money, newest first."""
    rows, total = await reading.page(request[SESSION], request[CALLER].owner_id, query)
    return TransactionList(
        transactions=[Transaction.of(row) for row in rows],
        total=total,
        limit=query.limit,
        offset=query.offset,
    )


@routes.get("/transactions/export", produces=["text/csv"], aliases=["/transactions.csv"])
async def export_transactions(request: web.Request, query: ExportQuery) -> web.StreamResponse:
    """Get the newest 100,000 transactions as CSV."""
    response = web.StreamResponse(
        headers={
            "Content-Type": "text/csv; charset=utf-8",
            "Content-Disposition": 'attachment; filename="transactions.csv"',
        }
    )
    await response.prepare(request)
    if request.method == "HEAD":
        return response
    await response.write(export.header())
    async for rows in reading.newest(request[SESSION], request[CALLER].owner_id, query.type):
        lines = export.lines(rows)
        await let_go(request)  # whoever reads slowly holds no transaction open
        await response.write(lines)
    await response.write_eof()
    return response


@routes.get("/pricing")
async def get_wallet_pricing(request: web.Request) -> PricingInfo:
    """Get what things cost."""
    return PricingInfo.of(_rates(request), is_billing=request.app[SETTINGS].is_billing)


@pricing.get()
async def get_pricing(request: web.Request) -> PricingInfo:
    """Get what things cost."""
    return PricingInfo.of(_rates(request), is_billing=request.app[SETTINGS].is_billing)


@routes.get("/usage-stats")
async def get_usage_stats(request: web.Request, query: DaysQuery) -> UsageStats:
    """Get what was used in some days, by its kind."""
    return await reading.usage_stats(request[SESSION], request[CALLER].owner_id, query.days)


@routes.get("/estimate")
async def estimate_cost(request: web.Request, query: EstimateQuery) -> Estimate:
    """Get what something costs with the margin."""
    margin_percent = _rates(request).margin_percent
    base = micros(query.base_cost)
    margin = rounded(Decimal(base) * margin_percent / 100)
    return Estimate(
        base_cost_usd=dollars(base),
        margin_usd=dollars(margin),
        margin_percent=float(margin_percent),
        final_cost_usd=dollars(base + margin),
    )


@routes.get("/can-afford")
async def get_can_afford(request: web.Request, query: AffordQuery) -> CanAfford:
    """Get whether your balance is enough for something."""
    session, owner_id = request[SESSION], request[CALLER].owner_id
    has = await ledger.balance(session, owner_id)
    left = has - await ledger.held(session, owner_id)
    cost = micros(query.estimated_cost)
    return CanAfford(
        can_afford=left >= cost or not request.app[SETTINGS].is_billing,
        estimated_cost=dollars(cost),
        balance_usd=dollars(has),
        available_usd=dollars(left),
        shortfall_usd=dollars(max(0, cost - left)),
    )


@routes.get("/analytics")
async def get_wallet_analytics(request: web.Request, query: AnalyticsQuery) -> Analytics:
    """Get where the money went: by day, model, hour and agent, and the newest 50 charges."""
    return await reading.analytics(request[SESSION], request[CALLER].owner_id, query.days)
