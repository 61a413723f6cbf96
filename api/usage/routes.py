"""/v1/users/me/stats, usage and balance; /v1/agents/stats"""

from aiohttp import web

from api.agents.service import AgentNotFound
from api.http.routes import Routes
from api.keys import CALLER, SESSION
from api.usage import service
from api.usage.schemas import (
    AgentStats,
    DayOfUse,
    GlobalStats,
    UserBalance,
    UserStats,
    UserUsage,
)
from api.wallet.money import dollars, text
from api.wallet.schemas import DaysQuery

users = Routes("/v1/users/me", tag="Users")
agents = Routes("/v1/agents", tag="Agents")


@users.get("/stats")
async def get_my_stats(request: web.Request) -> UserStats:
    """Get what you have: balance, agents, calls, knowledge bases, keys."""
    return await service.stats(request[SESSION], request[CALLER])


@users.get("/usage")
async def get_my_usage(request: web.Request, query: DaysQuery) -> UserUsage:
    """Get what was charged in some days."""
    return await service.usage(request[SESSION], request[CALLER], query.days)


@users.get("/usage/daily")
async def get_my_daily_usage(request: web.Request, query: DaysQuery) -> list[DayOfUse]:
    """Get what was charged in some days, day by day."""
    return await service.daily(request[SESSION], request[CALLER], query.days)


@users.get("/balance")
async def get_my_balance(request: web.Request) -> UserBalance:
    """Get your balance."""
    has = await service.balance(request[SESSION], request[CALLER])
    return UserBalance(balance_usd=text(has), balance=dollars(has))


@agents.get("/stats/global")
async def get_global_stats(request: web.Request) -> GlobalStats:
    """Get how many calls there were today, and what they cost."""
    return await service.global_stats(request[SESSION], request[CALLER])


@agents.get("/{agent_id}/stats", errors=[AgentNotFound])
async def get_agent_stats(request: web.Request, agent_id: str, query: DaysQuery) -> AgentStats:
    """Get what an agent did in some days."""
    return await service.agent_stats(request[SESSION], request[CALLER], agent_id, query.days)
