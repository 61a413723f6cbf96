"""What an agent may do with its call, as conversations: what the person says, what must follow."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest
from livekit.agents import Agent, llm

from pipelines.agent_config import AgentConfig, EngineConfig, GoodbyeConfig, TransferTarget
from pipelines.contract.actions import HoldSound
from pipelines.tools.call_control import Ability, CannotDo, builtins
from pipelines.tools.policy import Rails
from tests.support.fake_providers import Call
from tests.support.said import Conversation, conversation

TARGETS = (
    TransferTarget(name="Billing", kind="phone", value="+15550100"),
    TransferTarget(name="Bookings", kind="agent", value="agent_0123456789ab"),
)
ALL = (
    "end_call",
    "transfer_call",
    "hand_over",
    "hold_call",
    "mute",
    "dtmf_input",
    "send_digits",
    "request_callback",
)


@dataclass
class FakeControl:
    """Remembers what was asked of it."""

    abilities: frozenset[Ability] = frozenset(("transfer", "hold", "send_digits", "collect_digits"))
    done: list[str] = field(default_factory=list)
    keys: asyncio.Queue[str] = field(default_factory=asyncio.Queue)
    cannot: str = ""

    def end(self, reason: str) -> None:
        self.done.append(f"end {reason}")

    async def transfer(self, target: TransferTarget, session: object = None) -> None:
        if self.cannot:
            raise CannotDo(self.cannot)
        self.done.append(f"transfer {target.value}")

    async def hold(self, *, is_on: bool, sound: HoldSound = "music", seconds: int = 60) -> None:
        self.done.append(f"hold {is_on}")

    async def mute(self, *, is_on: bool, seconds: int = 300) -> None:
        if self.cannot:
            raise CannotDo(self.cannot)
        self.done.append(f"mute {is_on} {seconds}")

    async def send_digits(self, digits: str) -> None:
        self.done.append(f"digits {digits}")

    async def digit(self) -> str:
        return await self.keys.get()

    async def agent_for(self, target: TransferTarget, so_far: Agent) -> Agent:
        if self.cannot:
            raise CannotDo(self.cannot)
        said = so_far.chat_ctx.copy(exclude_instructions=True, exclude_function_call=True)
        return Agent(instructions="Book tables.", chat_ctx=said)


def tools(control: FakeControl, *names: str, message: str = "Goodbye!") -> list[Any]:
    agent = AgentConfig(
        agent_id="a",
        name="A",
        engine=EngineConfig(builtin_functions=names or ALL),
        goodbye=GoodbyeConfig(message=message),
        transfer_targets=TARGETS,
    )
    return list(builtins(agent, control, Rails()))


def said(talk: Conversation) -> list[str]:
    items = talk.session.history.items
    return [(item.text_content or "").strip() for item in items if isinstance(item, llm.ChatMessage)]


def test_an_agent_has_what_it_asks_for_and_can_use() -> None:
    assert [tool.id for tool in tools(FakeControl(), "end_call")] == ["end_call"]
    assert [tool.id for tool in tools(FakeControl(), "transfer_call")] == [
        "transfer_call",
        "request_callback",
    ]
    nobody = AgentConfig(agent_id="a", name="A", engine=EngineConfig(builtin_functions=ALL))
    assert {tool.id for tool in builtins(nobody, FakeControl(), Rails())} == {
        "end_call",
        "hold_call",
        "mute",
        "unmute",
        "collect_digits",
        "send_digits",
        "request_callback",
    }


@pytest.mark.parametrize(
    ("call", "result", "done"),
    [
        (Call("transfer_call", {"target": "Billing"}), "", ["transfer +15550100"]),
        (
            Call("transfer_call", {"target": "Boss"}),
            "!-> There is no such target; there are Billing, Bookings.",
            [],
        ),
        (Call("transfer_call"), "!-> transfer_call needs target.", []),
        (
            Call("send_digits", {"digits": "1w2#"}),
            "-> Sent 1w2#. Wait for what the other side says.",
            ["digits 1w2#"],
        ),
        (Call("send_digits", {"digits": "call me"}), "!-> digits: at most 32 of 0-9, *, #, A-D and w.", []),
        (Call("request_callback", {"phone_number": "555"}), "-> Noted: somebody will call back.", []),
    ],
)
async def test_each_does_its_one_thing_or_says_why_not(call: Call, result: str, done: list[str]) -> None:
    control = FakeControl()
    async with conversation(tools(control), {"go": call}) as talk:
        events = await talk.says("go")
    assert events[1] == (result or "-> ")
    assert control.done == done


async def test_a_goodbye_is_heard_before_the_call_ends() -> None:
    control = FakeControl()
    async with conversation(tools(control), {"bye": Call("end_call")}) as talk:
        await talk.says("bye")
        assert said(talk) == ["bye", "Goodbye!"]
    assert control.done == ["end agent_hangup"]


async def test_a_call_ends_also_when_no_goodbye_can_be_said(monkeypatch: pytest.MonkeyPatch) -> None:
    control = FakeControl()
    monkeypatch.setattr("pipelines.tools.call_control.GOODBYE_SECONDS", 0.1)
    async with conversation(tools(control, message=""), {"bye": Call("end_call")}) as talk:
        mute = asyncio.Event()
        replies = talk.session.generate_reply
        monkeypatch.setattr(
            talk.session,
            "generate_reply",
            lambda **told: Unsaid(mute) if "instructions" in told else replies(**told),
        )
        await asyncio.wait_for(talk.says("bye"), 10)
    assert control.done == ["end agent_hangup"]


@dataclass
class Unsaid:
    """Words that never come to be heard."""

    never: asyncio.Event

    async def wait_for_playout(self) -> None:
        await self.never.wait()


async def test_a_line_that_cannot_transfer_says_so_and_offers_a_callback() -> None:
    control = FakeControl(abilities=frozenset())
    async with conversation(tools(control), {"human": Call("transfer_call", {"target": "Billing"})}) as talk:
        events = await talk.says("human")
    assert events[1].startswith("!-> This line cannot be transferred. Say so in one sentence")
    assert "request_callback" in events[1]


async def test_a_transfer_that_is_refused_leaves_the_caller_here() -> None:
    control = FakeControl(cannot="Billing does not answer")
    async with conversation(tools(control), {"human": Call("transfer_call", {"target": "Billing"})}) as talk:
        events = await talk.says("human")
        assert events[1].startswith("!-> Billing does not answer. Say so")
        assert (await talk.says("hello"))[-1] == "You said: hello"


async def test_another_agent_takes_over_and_knows_what_was_said() -> None:
    control = FakeControl()
    answers: dict[str, Any] = {"a table please": Call("hand_over", {"target": "Bookings"})}
    async with conversation(tools(control), answers) as talk:
        await talk.says("my name is Ada")
        await talk.says("a table please")
        now = talk.session.current_agent
        assert now.instructions == "Book tables."
        texts = [item.text_content or "" for item in now.chat_ctx.items if isinstance(item, llm.ChatMessage)]
        assert "my name is Ada" in texts


async def test_digits_are_collected_until_they_are_all_there() -> None:
    control = FakeControl()
    for typed, count, result in (("1234", 4, "1 2 3 4"), ("98#7", None, "9 8")):
        control.keys = asyncio.Queue()
        for key in typed:
            control.keys.put_nowait(key)
        asked = Call("collect_digits", {"count": count} if count else {})
        async with conversation(tools(control), {"pin": asked}) as talk:
            assert (await talk.says("pin"))[1] == f"-> The person typed {result}."


@pytest.mark.parametrize(("more", "done"), [({}, []), ({"music": True}, ["hold True", "hold False"])])
async def test_a_hold_ends_with_a_key(more: dict[str, bool], done: list[str]) -> None:
    control = FakeControl()
    control.keys.put_nowait("1")
    async with conversation(tools(control), {"wait": Call("hold_call", {"seconds": 30, **more})}) as talk:
        assert (await talk.says("wait"))[1].startswith("-> The person is back")
    assert control.done == done
