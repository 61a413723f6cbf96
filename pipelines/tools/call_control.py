"""What an agent may do with the call itself: end, transfer, hand over, hold, mute, digits, a callback.

The host that runs the call implements `CallControl`; what its line cannot do is said to the caller in
words, and a callback is offered in its place.
"""

import asyncio
import logging
from typing import Any, Literal, Protocol

from livekit.agents import Agent, AgentSession, RunContext
from livekit.agents.llm import RawFunctionTool, StopResponse, function_tool

from pipelines.agent_config import AgentConfig, TransferTarget
from pipelines.contract.actions import HoldSound
from pipelines.function_config import RunsLike
from pipelines.goodbye import say_composed
from pipelines.phrases import OFFER_CALLBACK, phrase
from pipelines.tools.line_functions import RUNS, Builtin, on_the_line, text
from pipelines.tools.policy import Failed, Rails, canonical

Ability = Literal["transfer", "hold", "send_digits", "collect_digits"]

logger = logging.getLogger(__name__)

GOODBYE_SECONDS = 12.0
MOST_HANDOVERS = 5
"""In one call: two agents that hand it to each other must not keep a caller for ever."""
_RINGS = RunsLike(timeout_ms=50_000)
"""Somebody is called, and may take their time."""


class _Asks(RunsLike):
    """Somebody is called, told what it is about, and asked, twice."""

    timeout_ms: int = 180_000


class CannotDo(Exception):
    """This line cannot do that"""


class CallControl(Protocol):
    """What the host of a call can do with it. Each method raises `CannotDo` with a sentence."""

    @property
    def abilities(self) -> frozenset[Ability]:
        """What the line can do at this moment."""

    def end(self, reason: str) -> None:
        """End the call; what is being said is not waited for."""

    async def transfer(self, target: TransferTarget, session: AgentSession[Any] | None = None) -> None:
        """Hand the caller to a human and leave.

        A warm target is asked first, where the line can and there is a session to ask with.
        """

    async def hold(self, *, is_on: bool, sound: HoldSound = "music", seconds: int = 60) -> None:
        """Let the other side wait, for so long at most and hearing this, or come back."""

    async def mute(self, *, is_on: bool, seconds: int = 300) -> None:
        """Let the other side not hear the agent, which goes on listening, for so long at most; or hear it."""

    async def send_digits(self, digits: str) -> None:
        """Send tones to the other side."""

    async def digit(self) -> str:
        """The next key that the caller presses."""

    async def agent_for(self, target: TransferTarget, so_far: Agent) -> Agent:
        """Another agent of the same owner, ready to go on with what was said so far."""


def builtins(agent: AgentConfig, control: CallControl, rails: Rails) -> list[RawFunctionTool[..., Any]]:
    """The built-in functions that the agent asks for."""
    made = _OfAgent(agent, control).by_name()
    wanted = ["collect_digits" if name == "dtmf_input" else name for name in agent.engine.builtin_functions]
    if "mute" in wanted:
        wanted.append("unmute")
    if "transfer_call" in wanted:
        wanted.append("request_callback")  # what is offered where a transfer is not possible
    return [_as_tool(name, made[name], rails) for name in dict.fromkeys(wanted) if name in made]


def _as_tool(name: str, builtin: Builtin, rails: Rails) -> RawFunctionTool[..., Any]:
    async def run(raw_arguments: dict[str, Any], context: RunContext[Any]) -> Any:
        async def work(_key: str) -> Any:
            if missing := [field for field in builtin.required if not raw_arguments.get(field)]:
                raise Failed(f"{name} needs {', '.join(missing)}.")
            try:
                return await builtin.work(context, raw_arguments)
            except CannotDo as error:
                raise Failed(
                    f"{error}. {OFFER_CALLBACK if name == 'transfer_call' else ''}".strip()
                ) from None

        # An agent that takes over, or a goodbye, comes in its own place or not at all.
        return await rails.run(name, builtin.how, context, canonical(raw_arguments), work, can_answer=False)

    parameters = {
        "type": "object",
        "properties": builtin.properties,
        "required": list(builtin.required),
        "additionalProperties": False,
    }
    return function_tool(
        run, raw_schema={"name": name, "description": builtin.description, "parameters": parameters}
    )


class _OfAgent:
    def __init__(self, agent: AgentConfig, control: CallControl) -> None:
        self._agent = agent
        self._control = control
        self._targets = {target.name: target for target in agent.transfer_targets}

    def by_name(self) -> dict[str, Builtin]:
        humans = [name for name, target in self._targets.items() if target.kind != "agent"]
        agents = [name for name, target in self._targets.items() if target.kind == "agent"]
        made = {
            "end_call": Builtin(
                "End the call, once the person has said goodbye or nothing is left to do. Say nothing "
                "before: a goodbye is said.",
                {"reason": text("Why the call ends, in a few words.")},
                (),
                RUNS,
                self._end,
            ),
            "request_callback": Builtin(
                "Note that somebody shall call the person back.",
                {
                    "phone_number": text("Where to call."),
                    "when": text("When it suits them, in their words."),
                    "reason": text("What it is about."),
                },
                ("phone_number",),
                RUNS,
                _callback,
            ),
        }
        made |= on_the_line(self._control)
        if humans:
            made["transfer_call"] = Builtin(
                "Transfer the person to a human. Tell them before.",
                {"target": text("To whom.", humans)},
                ("target",),
                _Asks() if any(one.mode == "warm" for one in self._targets.values()) else _RINGS,
                self._transfer,
            )
        if agents:
            made["hand_over"] = Builtin(
                "Hand the conversation to another agent, who knows what was said so far.",
                {"target": text("To which.", agents)},
                ("target",),
                RUNS,
                self._hand_over,
            )
        return made

    def _target(self, arguments: dict[str, Any]) -> TransferTarget:
        if (target := self._targets.get(str(arguments["target"]))) is None:
            raise Failed(f"There is no such target; there are {', '.join(self._targets)}.")
        return target

    async def _end(self, context: RunContext[Any], arguments: dict[str, Any]) -> Any:
        goodbye, session = self._agent.goodbye, context.session
        try:
            async with asyncio.timeout(GOODBYE_SECONDS):
                await context.wait_for_playout()
                is_composed = goodbye.mode == "dynamic" or not goodbye.message
                if not is_composed or not await say_composed(session, self._agent.language, goodbye.prompt):
                    written = goodbye.message or phrase("goodbye", self._agent.language)
                    await session.say(written, allow_interruptions=False).wait_for_playout()
        except (TimeoutError, RuntimeError) as error:
            logger.info("a goodbye was not said", extra={"error": type(error).__name__})
        # Whatever hinders the goodbye, a call that shall end ends.
        self._control.end("agent_hangup")
        raise StopResponse

    async def _transfer(self, context: RunContext[Any], arguments: dict[str, Any]) -> Any:
        target = self._target(arguments)
        if "transfer" not in self._control.abilities:
            raise CannotDo("This line cannot be transferred")
        await context.wait_for_playout()
        await self._control.transfer(target, context.session)
        raise StopResponse

    async def _hand_over(self, context: RunContext[Any], arguments: dict[str, Any]) -> Any:
        await context.wait_for_playout()
        here = context.session.current_agent
        return await self._control.agent_for(self._target(arguments), here), f"You took over: {here.id}"


async def _callback(context: RunContext[Any], arguments: dict[str, Any]) -> Any:
    # The event of this very call is the request: it is on disk before the caller hears the answer.
    return "Noted: somebody will call back."
