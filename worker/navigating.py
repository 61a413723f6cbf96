"""A call of ours that may be answered by a menu: nobody talks before somebody is there who listens.

answered ─► navigator ─┬─ a person ──► the agent begins, and knows nothing of the menu but its keys
                       ├─ a machine ─► hung up, or the message
                       └─ nobody, or too many menus ─► the end, with the reason
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from typing import Any

from livekit.agents import AgentSession, ConversationItemAddedEvent, llm

from pipelines.assemble import Pipeline
from pipelines.contract.brief import CallBrief
from pipelines.custom_llm import CustomLLM
from pipelines.ivr.navigator import Navigator, Outcome
from pipelines.local.scripted import LANGUAGES
from pipelines.tools.call_control import CallControl
from worker.conversation import Conversation
from worker.endings import Ending
from worker.holding import Holding
from worker.lines.line import Line, Screens
from worker.ran import NAVIGATED

logger = logging.getLogger(__name__)

LISTENS_SECONDS = 2.0
"""A machine that has said all, and beeped."""
BEEP_SECONDS = 45.0
SAY_SECONDS = 10.0
ASKED_SECONDS, GREETED_SECONDS = 0.2, 0.8
"""Whoever has asked something waits; whoever has only said their name mostly goes on."""
GREETING_SECONDS = 5.0
_WHAT = {
    "person": "A person answered.",
    "voicemail": "A machine answered.",
    "ivr_wait_limit": "No person answered in time.",
    "ivr_too_many_menus": "There were too many menus.",
    "ivr_nobody_there": "Nobody can be reached there.",
    "ivr_no_keys": "No keys can be pressed on this line.",
}
_KNOWS = (
    "You have called, got through an automated menu{keys}, and a person has just answered. What is said from "
    "now on is said by this person, who knows nothing of it."
)


def is_asked(brief: CallBrief, line: Line) -> bool:
    """Whether this call begins in somebody's menu, or goes on there."""
    config = brief.agent.ivr_navigation
    if config is None or not config.goal or not isinstance(line, Screens) or not line.is_ours:
        return False
    return all(run.name != NAVIGATED for run in brief.functions)


def begun_anew(brief: CallBrief, line: Line) -> CallBrief:
    """What an earlier process heard in the menu was said to nobody: the next one has not been cut off."""
    if not is_asked(brief, line):
        return brief
    return brief.model_copy(update={"transcript": (), "functions": ()})


def mind_of(pipeline: Pipeline) -> llm.LLM[Any] | None:
    """Which engine reads menus; None where none here can."""
    if isinstance(pipeline.llm, llm.LLM) and not isinstance(pipeline.llm, CustomLLM):
        return pipeline.llm
    if pipeline.stt is None or pipeline.language.split("-")[0].lower() not in LANGUAGES:
        return None
    from pipelines.local.scripted.llm import ScriptedLLM  # noqa: PLC0415 - where the owner's engine cannot

    return ScriptedLLM(language=pipeline.language)


async def get_through(
    mind: llm.LLM[Any],
    brief: CallBrief,
    session: AgentSession[Any],
    pipeline: Pipeline,
    control: CallControl,
    holding: Holding,
    told: Conversation,
) -> Ending | None:
    """Get to a person, to whom the agent talks from now on; else how the call ends."""
    config, agent = brief.agent.ivr_navigation, pipeline.agent
    assert config is not None  # noqa: S101 - `is_asked` has said so
    goal = pipeline.script.ivr_goal or config.goal

    async def say(words: str) -> None:
        with contextlib.suppress(RuntimeError, TimeoutError):
            async with asyncio.timeout(SAY_SECONDS):
                await session.say(words, allow_interruptions=False).wait_for_playout()

    through = Navigator(
        mind,
        config.model_copy(update={"goal": goal}),
        pipeline.language,
        control.send_digits,
        say,
        is_talking=lambda: _is_talking(session),
        is_paused=lambda: holding.is_silenced,
        pressed=told.ran.pressed,
    )

    said_last = ""

    def heard(event: ConversationItemAddedEvent) -> None:
        nonlocal said_last
        item = event.item
        if isinstance(item, llm.ChatMessage) and item.role == "user" and item.text_content:
            said_last = item.text_content
            through.heard(item.text_content, item.metrics.get("started_speaking_at") or time.time())

    session.on("conversation_item_added", heard)
    holding.navigates(is_on=True)
    try:
        outcome = await through.run()
        if outcome.kind == "person":
            # Who greets in two sentences is not to be interrupted after the first.
            asks = said_last.rstrip().endswith("?")
            pause = ASKED_SECONDS if asks else GREETED_SECONDS
            await _silence(lambda: _is_talking(session) or told.is_owed_words, pause, GREETING_SECONDS)
    finally:
        session.off("conversation_item_added", heard)
        agent.is_navigating = False
        holding.navigates(is_on=False)
    told.ran.navigated(outcome.menus, _WHAT[outcome.reason or outcome.kind])
    logger.info("a menu is over", extra={"outcome": outcome.reason or outcome.kind, "menus": outcome.menus})
    if outcome.kind == "person":
        await _begin(session, pipeline, outcome)
        return None
    if outcome.kind == "voicemail":
        return await _left_to(session, brief, pipeline)
    return Ending("ended", outcome.reason)


async def _begin(session: AgentSession[Any], pipeline: Pipeline, outcome: Outcome) -> None:
    """Talk to the person, with their own words alone in mind."""
    agent = pipeline.agent
    knows = agent.chat_ctx.copy()
    said = [item for item in knows.items if isinstance(item, llm.ChatMessage) and item.role == "user"]
    menu = {item.id for item in said[:-1]}
    knows.items[:] = [item for item in knows.items if item.id not in menu]
    if not pipeline.is_scripted:
        keys = f" by pressing {', '.join(outcome.keys)}" if outcome.keys else ""
        at = next(
            (number for number, item in enumerate(knows.items) if said and item.id == said[-1].id), None
        )
        note = llm.ChatMessage(role="system", content=[_KNOWS.format(keys=keys)])
        knows.items.insert(len(knows.items) if at is None else at, note)
    await agent.update_chat_ctx(knows)
    agent.waits = False
    if agent.is_silent_at_first:
        session.generate_reply()
    else:
        await agent.open(whatever_is_said=True)


async def _left_to(session: AgentSession[Any], brief: CallBrief, pipeline: Pipeline) -> Ending:
    """Hang up on a machine, after its beep and the message where there is one."""
    message = pipeline.script.voicemail if brief.agent.voicemail.action == "leave_message" else ""
    if not message or not await _silence(lambda: _is_talking(session), LISTENS_SECONDS, BEEP_SECONDS):
        return Ending("ended", "voicemail")
    session.input.set_audio_enabled(False)  # whatever a machine says is not to be answered
    await session.say(message, allow_interruptions=False).wait_for_playout()
    return Ending("completed", "voicemail_message_left")


def _is_talking(session: AgentSession[Any]) -> bool:
    return session.user_state == "speaking"


async def _silence(is_talking: Callable[[], bool], seconds: float, within: float) -> bool:
    """Return once it is quiet for so long; False where it never is within the time."""
    until = time.monotonic() + within
    quiet_since = time.monotonic()
    while (now := time.monotonic()) < until:
        if is_talking():
            quiet_since = now
        elif now - quiet_since >= seconds:
            return True
        await asyncio.sleep(0.05)
    return False
