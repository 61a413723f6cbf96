"""/v1/agents/wizard: a prompt written by talking about it, by a language model or by templates."""

from aiohttp import web

from api.agents import service as agents
from api.agents.schemas import Agent
from api.agents.service import AgentNotFound
from api.http.routes import Routes
from api.http.transactions import let_go
from api.keys import CALLER, SESSION, SPEECH
from api.outside.speech import NoSpeech, NotHere
from api.wizard import service
from api.wizard.schemas import WizardApply, WizardMessage, WizardSession, WizardStart

routes = Routes("/v1/agents", tag="Agent wizard")
_MAX_TOKENS = 400


@routes.post("/wizard/start", errors=[service.TooManyWizards])
async def start_wizard(request: web.Request, body: WizardStart) -> WizardSession:
    """Begin to make an agent: the first question is in `messages`."""
    return WizardSession.of(await service.begin(request[SESSION], request[CALLER], body, None))


@routes.post("/{agent_id}/wizard/start", errors=[AgentNotFound, service.TooManyWizards, service.NoPrompt])
async def start_wizard_for_agent(request: web.Request, agent_id: str, body: WizardStart) -> WizardSession:
    """Begin to change an agent's prompt."""
    agent = await agents.get(request[SESSION], request[CALLER], agent_id)
    return WizardSession.of(await service.begin(request[SESSION], request[CALLER], body, agent))


@routes.get("/wizard/{wizard_id}", errors=[service.WizardNotFound])
async def get_wizard(request: web.Request, wizard_id: str) -> WizardSession:
    """Get where a session stands."""
    return WizardSession.of(await service.get(request[SESSION], request[CALLER], wizard_id))


@routes.post("/wizard/{wizard_id}/message", errors=[service.WizardNotFound, service.TalkedOut])
async def answer_wizard(request: web.Request, wizard_id: str, body: WizardMessage) -> WizardSession:
    """Answer the question that was asked last; the next one is in `messages`, until the status is `ready`."""
    row = await service.get(request[SESSION], request[CALLER], wizard_id)
    return WizardSession.of(await service.answer(request[SESSION], row, body.content))


@routes.post("/wizard/{wizard_id}/compose-next", errors=[service.WizardNotFound], resumes=True)
async def compose_wizard(request: web.Request, wizard_id: str) -> WizardSession:
    """Write the next section; nothing changes while questions are open, and once all are written."""
    session, caller = request[SESSION], request[CALLER]
    row = await service.get(session, caller, wizard_id)
    if (topic := service.next_topic(row)) is None:
        return WizardSession.of(row)
    await let_go(request)  # a model may take seconds
    section = await service.written(row, topic, _writer(request))
    row = await service.get(session, caller, wizard_id)
    return WizardSession.of(await service.add_section(session, row, section))


@routes.post(
    "/wizard/{wizard_id}/apply",
    errors=[service.WizardNotFound, service.NothingWritten, service.NoPrompt, AgentNotFound],
)
async def apply_wizard(request: web.Request, wizard_id: str, body: WizardApply) -> Agent:
    """Write the prompt to the agent; where there is none yet, it is made."""
    session, caller = request[SESSION], request[CALLER]
    row = await service.get(session, caller, wizard_id)
    return Agent.of(await service.apply(session, caller, row, body.prompt))


def _writer(request: web.Request) -> service.Write:
    async def write(messages: list[dict[str, str]]) -> str:
        try:
            thought = await request.app[SPEECH].think(messages, "", 0.3, _MAX_TOKENS, [])
        except (NotHere, NoSpeech):
            return ""
        return thought.text

    return write
