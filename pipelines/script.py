"""The words an agent was given, with this call's variables in them."""

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pipelines.agent_config import AgentConfig, TransferTarget
from pipelines.contract.brief import CallBrief
from pipelines.phrases import phrase
from pipelines.variables import built_in, render


@dataclass(frozen=True)
class Script:
    """What is said and told in one call. No placeholder is left in any of it."""

    instructions: str
    begin: str
    goodbye: str
    """Never empty: what was not written is said in the language of the call."""
    goodbye_prompt: str
    voicemail: str
    ivr_goal: str
    """Where to in somebody's menu; empty where the agent is to get through none."""
    fallback: str
    targets: tuple[TransferTarget, ...] = ()
    """To whom it may be handed, with what they are told."""
    unknown: tuple[str, ...] = ()
    """Variables without a value, in the order they were met."""

    @classmethod
    def of(cls, brief: CallBrief, now: datetime) -> "Script":
        """What this call's agent says and was told, at this moment. `now` says the machine's zone."""
        agent = brief.agent
        known = (
            built_in(
                in_zone(now, agent.time_zone),
                agent_name=agent.name,
                call_id=brief.call_id,
                caller_number=brief.caller_number,
            )
            | brief.variables
        )
        unknown: dict[str, None] = {}

        def filled(text: str) -> str:
            result = render(text, known)
            unknown.update(dict.fromkeys(result.unknown))
            return result.text.strip()

        targets = tuple(
            target.model_copy(
                update={
                    "private_message": filled(target.private_message),
                    "public_message": filled(target.public_message),
                }
            )
            for target in agent.transfer_targets
        )
        return cls(
            instructions=filled(agent.engine.instructions),
            begin=filled(agent.begin_message),
            goodbye=filled(agent.goodbye.message) or phrase("goodbye", agent.language),
            goodbye_prompt=filled(agent.goodbye.prompt),
            voicemail=filled(agent.voicemail.message),
            ivr_goal=filled(agent.ivr_navigation.goal) if agent.ivr_navigation is not None else "",
            fallback=filled(agent.fallback.message) or phrase("apology", agent.language),
            targets=targets,
            unknown=tuple(unknown),
        )

    def spoken_by(self, agent: AgentConfig) -> AgentConfig:
        """The same agent, with the words of its goodbye as they are said in this call."""
        goodbye = {"message": self.goodbye, "prompt": self.goodbye_prompt}
        return agent.model_copy(update={"goodbye": agent.goodbye.model_copy(update=goodbye)})


def in_zone(now: datetime, name: str) -> datetime:
    """The same moment on the clocks of a time zone; one that this machine does not know changes nothing."""
    try:
        return now.astimezone(ZoneInfo(name)) if name else now
    except (ZoneInfoNotFoundError, ValueError):
        return now
