"""Whom a call meets before its agent talks: nobody, a machine, a menu of ours or of others, a person.

before the line starts   a trunk is tried out · a machine is heard from its sound alone
once it has              a menu for who called us · a menu of whom we have called
"""

from dataclasses import dataclass

from livekit.agents import AgentSession

from pipelines.assemble import Pipeline
from pipelines.contract.brief import CallBrief
from pipelines.phrases import phrase
from worker import announcing, navigating, screening
from worker.cast import Cast
from worker.control import LineControl
from worker.conversation import Conversation
from worker.endings import Ending
from worker.holding import Holding
from worker.lines.line import Line
from worker.reception import receive
from worker.recording import Recording


@dataclass(frozen=True)
class Meeting:
    """Of one call. Where it ends the call, it says how."""

    brief: CallBrief
    line: Line
    session: AgentSession[None]
    pipeline: Pipeline
    told: Conversation

    async def before(self, recording: Recording | None) -> Ending | None:
        """Until the line may start; the agent waits then for whoever is to be met first."""
        brief, agent = self.brief, self.pipeline.agent
        reception = brief.reception
        if reception is not None and reception.is_all:
            words = reception.say or phrase("test_call", brief.agent.language)
            return await announcing.said_to(self.line, self.session, words, self.told)
        if navigating.is_asked(brief, self.line):
            agent.is_navigating = agent.waits = navigating.mind_of(self.pipeline) is not None
            if agent.is_navigating:
                return None  # what a menu sounds like, a machine does, too
            self.told.warn("ivr_navigation_unavailable", "This agent's engine cannot get through menus.")
        voicemail = brief.agent.voicemail
        if brief.started_at is None and await screening.machine_answered(self.line, voicemail, recording):
            message = self.pipeline.script.voicemail if voicemail.action == "leave_message" else ""
            return await screening.left_to(self.line, self.session, recording, message, self.told.started)
        agent.waits = reception is not None and brief.started_at is None
        return None

    async def after(self, control: LineControl, cast: Cast, holding: Holding) -> Ending | None:
        """From the line's start until the agent talks, or somebody else does."""
        reception, agent = self.brief.reception, self.pipeline.agent
        if agent.is_navigating and (mind := navigating.mind_of(self.pipeline)) is not None:
            return await navigating.get_through(
                mind, self.brief, self.session, self.pipeline, control, holding, self.told
            )
        if reception is not None and agent.waits:
            await receive(reception, self.session, agent, control, cast, self.told.ran.chose)
        return None
