"""Callers of the scripted engine who want to be put through, as conversations."""

import json

import pytest

from pipelines.agent_config import AgentConfig, EngineConfig, TransferTarget
from pipelines.tools.call_control import builtins
from pipelines.tools.policy import Rails
from tests.support.scripted_clinic import PROMPT
from tests.support.scripted_talk import Talk
from tests.unit.test_call_control import FakeControl

DESK = TransferTarget(name="Front desk", kind="phone", value="+15550100")
BILLING = TransferTarget(name="Billing", kind="phone", value="+15550101")
BURO = TransferTarget(name="Ön büro", kind="phone", value="+905330000000")


def talk(
    *targets: TransferTarget, language: str = "en", functions: tuple[str, ...] = ("transfer_call",)
) -> Talk:
    agent = AgentConfig(
        agent_id="a", name="A", engine=EngineConfig(builtin_functions=functions), transfer_targets=targets
    )
    tools = builtins(agent, FakeControl(), Rails())
    prompt = PROMPT if language == "en" else "Hafta içi 9'dan 18'e kadar açığız."
    return Talk(prompt, tools=tools, language=language)


async def asked(said: Talk, text: str) -> tuple[str, dict[str, str]]:
    """What is said to it, and the arguments of the function that is called."""
    said.hear(text)
    reply = await said.generate()
    said.ctx.add_message(role="assistant", content=reply.text)
    (call,) = reply.tool_calls or [None]
    return reply.text, json.loads(call.arguments) if call is not None else {}


WISHES = [
    "Put me through to the front desk, please.",
    "I want to talk to a person.",
    "I would like to be transferred to the front desk.",
    "Can I speak to someone at the front desk?",
    "could you connect me to the front disk",
    "Transfer me.",
    "Get me a human!",
    "let me talk to a real person",
    "Can you please put me through?",
    "I need to speak with somebody about my bill.",
    "Could you transfer my call to the front desk?",
    "Operator.",
]


@pytest.mark.parametrize("text", WISHES)
async def test_whoever_wants_to_be_put_through_is(text: str) -> None:
    said, arguments = await asked(talk(DESK), text)
    assert said == "One moment, I'm putting you through: Front desk."
    assert arguments == {"target": "Front desk"}


TURKISH = [
    "Beni ön büroya bağlar mısınız?",
    "Bir insanla konuşmak istiyorum.",
    "Yetkili biriyle görüşmek istiyorum.",
    "Müşteri hizmetlerine bağlayın lütfen.",
    "Ön büro ile görüşebilir miyim?",
]


@pytest.mark.parametrize("text", TURKISH)
async def test_also_in_turkish(text: str) -> None:
    said, arguments = await asked(talk(BURO, language="tr"), text)
    assert said == "Bir saniye, sizi bağlıyorum: Ön büro."
    assert arguments == {"target": "Ön büro"}


@pytest.mark.parametrize(
    "text",
    [
        "Am I talking to a real person?",
        "Do you speak German?",
        "I would like to book an appointment with the dentist.",
        "Can you connect me to the wifi?",
        "I talked to somebody yesterday.",
        "What does a person pay for parking?",
    ],
)
async def test_nobody_else_is(text: str) -> None:
    _, arguments = await asked(talk(DESK), text)
    assert arguments == {}


async def test_of_several_the_caller_names_one() -> None:
    said = talk(DESK, BILLING)
    question, arguments = await asked(said, "I want to talk to a person.")
    assert question == "I can put you through to Front desk and Billing. To whom would you like to talk?"
    assert arguments == {}
    assert await asked(said, "Billing please.") == (
        "One moment, I'm putting you through: Billing.",
        {"target": "Billing"},
    )
    assert (await asked(talk(DESK, BILLING), "Can I talk to billing?"))[1] == {"target": "Billing"}


async def test_who_asks_for_somebody_else_is_told_who_there_is() -> None:
    said = talk(DESK)
    question, arguments = await asked(said, "Please put me through to Mrs Miller.")
    assert (question, arguments) == ("I can only put you through to Front desk. Shall I?", {})
    assert (await asked(said, "No, thanks."))[0].startswith("All right, I have left that.")
    await asked(said, "Then put me through to the accounting department.")
    assert (await asked(said, "Yes, please."))[1] == {"target": "Front desk"}


async def test_without_anybody_there_it_says_so() -> None:
    for text in ("Put me through to the front desk.", "I want to talk to a person."):
        said, arguments = await asked(talk(functions=()), text)
        assert said == "I can't put you through to a person from here. Our phone number is 555 010 2030."
        assert arguments == {}
    said, _ = await asked(talk(language="tr", functions=()), "Beni ön büroya bağlayın.")
    assert said.startswith("Buradan sizi bir kişiye bağlayamıyorum")
    said, _ = await asked(talk(functions=("request_callback",)), "Put me through to a person.")
    assert said.startswith("I can't put you through to a person from here, but somebody can call you back.")


@pytest.mark.parametrize(
    ("text", "name"),
    [("Please mute yourself for a moment.", "mute"), ("Please unmute yourself now.", "unmute")],
)
async def test_it_is_muted_and_unmuted_without_a_question(text: str, name: str) -> None:
    said = talk(functions=("mute",))
    said.hear(text)
    reply = await said.generate()
    assert ([call.name for call in reply.tool_calls], reply.text) == ([name], "")
