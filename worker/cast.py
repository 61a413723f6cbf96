"""The agents of one call: the one it begins with, and those it is handed to with the talk so far."""

import logging
from datetime import UTC, datetime

from livekit.agents import Agent

from pipelines.agent import Opening, SpokenAgent
from pipelines.assemble import Pipeline, assemble
from pipelines.contract.brief import BriefRequest, CallBrief
from pipelines.local.embedder import ModelsEmbedder
from pipelines.local.parts import CannotServe, Local
from pipelines.outbound import Guard
from pipelines.tools.call_control import CallControl, CannotDo
from worker import brief as briefs
from worker.host import Host

logger = logging.getLogger(__name__)

_GO_ON = "You have just taken over this conversation from a colleague. Go on with it in one short sentence."


class Cast:
    """Assembles the agents of one call. What it opened is closed with the first agent's pipeline."""

    def __init__(self, host: Host, brief: CallBrief, job_id: str) -> None:
        self._host, self._brief = host, brief
        self._request = BriefRequest(worker_id=host.settings.worker_id, job_id=job_id)
        self._guard = Guard(host.settings.allowed_hosts)
        self._first: Pipeline | None = None

    async def first(self, control: CallControl) -> Pipeline:
        """Whom the brief names. Raises `CannotServe`."""
        pipeline = await self._assemble(self._brief, control)
        pipeline.closing.append(_Closing(self._guard))
        self._first, self._control = pipeline, control
        return pipeline

    async def another(self, agent_id: str, so_far: Agent, *, greets: bool = False) -> Agent:
        """Another agent of the same owner, which goes on where `so_far` is. Raises `CannotDo`.

        One that `greets` begins as with somebody who called it.
        """
        settings = self._host.settings
        try:
            brief = await briefs.ask_handover(
                settings.api_url, settings.internal_key, self._brief.call_id, agent_id, self._request
            )
            # What was said comes with the agent that said it.
            pipeline = await self._assemble(brief.model_copy(update={"transcript": ()}), self._control)
        except (briefs.CallGone, briefs.CallOver, briefs.ApiUnreachable, CannotServe) as error:
            logger.warning("a call was not handed over", extra={"error": type(error).__name__})
            raise CannotDo("That agent cannot take over now: go on yourself") from None
        if self._first is not None:
            self._first.closing.append(pipeline)
            pipeline.toolbox.rails.warn = self._first.toolbox.rails.warn
            pipeline.on_switch(self._first.toolbox.rails.warn)
        for warned in pipeline.warnings:
            pipeline.toolbox.rails.warn(warned.code, warned.message)
        if more := await pipeline.toolbox.connect():
            await pipeline.agent.update_tools([*pipeline.agent.tools, *more])
        said = so_far.chat_ctx.copy(exclude_instructions=True, exclude_function_call=True)
        agent = pipeline.agent
        opening = None if greets else Opening(instructions=_GO_ON)
        agent.take_over(said, thinks=pipeline.llm, speaks=pipeline.tts, opening=opening)
        if isinstance(so_far, SpokenAgent):
            agent.on_words = so_far.on_words
        if self._first is not None:
            self._first.agent = agent  # who apologises from now on, and whose searches are measured
        return agent

    async def _assemble(self, brief: CallBrief, control: CallControl) -> Pipeline:
        settings = self._host.settings.providers
        embedder = ModelsEmbedder(settings.models_socket) if settings.models_socket is not None else None
        knowledge = self._host.know(brief, embedder)
        pipeline = await assemble(
            brief,
            settings,
            self._host.functions,
            datetime.now(UTC).astimezone(),
            knowledge=knowledge,
            local=self._host.local or Local(settings, embedder),
            guard=self._guard,
            control=control,
        )
        pipeline.closing += [part for part in (knowledge, embedder) if part is not None]
        return pipeline


class _Closing:
    def __init__(self, guard: Guard) -> None:
        self.aclose = guard.close
