"""/v1/agents"""

from functools import partial

from aiohttp import web

from api.agents import known_bases, service
from api.agents.conditions import refuse_unreadable
from api.agents.reachable import refuse_unreachable
from api.agents.schemas import Agent, AgentCard, AgentCreate, AgentUpdate
from api.agents.service import AgentNotFound
from api.agents.trying import (
    FunctionAnswer,
    FunctionCall,
    FunctionOutcome,
    FunctionTry,
    NobodyTries,
    executed,
    outcome,
)
from api.http import etags
from api.http.errors import PreconditionFailed
from api.http.pages import Page
from api.http.routes import Routes
from api.http.transactions import let_go
from api.keys import BASES, CALLER, DATABASE, GUARD, SESSION, WORKERS

routes = Routes("/v1/agents", tag="Agents")
of_functions = Routes("/v1/functions", tag="Agents")


@routes.post(status=201, location="/v1/agents/{agent_id}", etag=True)
async def create_agent(request: web.Request, body: AgentCreate) -> Agent:
    """Make an agent."""
    refuse_unreadable(body)
    refuse_unreachable(body, request.app[GUARD])
    # Asked before the database is: workers are looked up in a transaction of their own.
    known = await request.app[WORKERS].functions()
    session, owner_id = request[SESSION], request[CALLER].owner_id
    await known_bases.refuse_strange(session, owner_id, body.knowledge_base_ids, request.app[BASES])
    return Agent.of(await service.create(session, owner_id, body, known))


@routes.get(end_user="agents:read")
async def list_agents(request: web.Request, query: Page) -> list[Agent] | list[AgentCard]:
    """List agents, newest first. An end user gets the cards that are not hidden, in their owner's order."""
    if request[CALLER].end_user is not None:
        rows = await service.cards(request[SESSION], request[CALLER], query)
        return [AgentCard.of(row) for row in rows]
    return [Agent.of(row) for row in await service.page(request[SESSION], request[CALLER], query)]


@routes.get("/{agent_id}", errors=[AgentNotFound], etag=True, end_user="agents:read")
async def get_agent(request: web.Request, agent_id: str) -> Agent | AgentCard:
    """Get an agent. An end user gets its card."""
    caller = request[CALLER]
    if caller.end_user is not None:
        return AgentCard.of(await service.get(request[SESSION], caller, agent_id))
    return Agent.of(await service.seen(request.app[DATABASE], caller.owner_id, agent_id))


@routes.patch("/{agent_id}", errors=[AgentNotFound], etag=True)
async def update_agent(request: web.Request, agent_id: str, body: AgentUpdate) -> Agent:
    """Change an agent; what is not sent stays as it is. With If-Match, only the state that you saw."""
    refuse_unreadable(body)
    refuse_unreachable(body, request.app[GUARD])
    known = await request.app[WORKERS].functions() if body.response_engine is not None else None
    session, caller, must_be = request[SESSION], request[CALLER], partial(etags.require_match, request)
    await known_bases.refuse_strange(session, caller.owner_id, body.knowledge_base_ids, request.app[BASES])
    return Agent.of(await service.update(session, caller, agent_id, body, known, must_be=must_be))


@routes.delete("/{agent_id}", errors=[AgentNotFound, PreconditionFailed, etags.UnreadableTag])
async def delete_agent(request: web.Request, agent_id: str) -> None:
    """Delete an agent. Its calls stay."""
    must_be = partial(etags.require_match, request)
    await service.remove(request[SESSION], request[CALLER], agent_id, must_be=must_be)


@routes.post("/{agent_id}/duplicate", status=201, errors=[AgentNotFound], location="/v1/agents/{agent_id}")
async def duplicate_agent(request: web.Request, agent_id: str) -> Agent:
    """Copy an agent; the copy's name says that it is one."""
    return Agent.of(await service.duplicate(request[SESSION], request[CALLER], agent_id))


@routes.post("/{agent_id}/test-function", errors=[AgentNotFound, NobodyTries])
async def test_function(request: web.Request, agent_id: str, body: FunctionTry) -> FunctionOutcome:
    """Try a function as a call would run it: an address, or by its name the agent's or a developer's."""
    row = await service.get(request[SESSION], request[CALLER], agent_id)
    functions = list(service.to_config(row).engine.functions)
    await let_go(request)  # nobody waits for a stranger's server with a transaction open
    return await outcome(body, functions, request.app[GUARD], request.app[WORKERS].try_function)


@of_functions.post("/execute")
async def execute_function(request: web.Request, body: FunctionCall) -> FunctionAnswer:
    """Ask an address once, for a page that a browser does not let ask it; https only, and nothing private."""
    await let_go(request)
    return await executed(body, request.app[GUARD])
