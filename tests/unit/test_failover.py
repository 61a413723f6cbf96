"""What chains are made of: circuits on a clock of their own, new words, words that were heard."""

from typing import Any

import pytest
from livekit.agents import llm
from livekit.agents.types import TimedString

from pipelines.agent_config import AgentConfig
from pipelines.choosing import Chooser
from pipelines.failover import Chain, FailoverLLM, FailoverSTT, FailoverTTS, Link, Patience
from pipelines.failover.circuit import COOL_SECONDS, LONGEST_SECONDS, Circuit
from pipelines.failover.spoken import Spoken
from pipelines.failover.unsaid import Unsaid
from pipelines.providers import ProviderSettings
from tests.support.fake_providers import FakeParts, TableLLM

EVERYTHING = ProviderSettings(
    openai_api_key="o", deepgram_api_key="d", openrouter_api_key="r", anthropic_api_key="a"
)


# ── circuits ──
class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_circuit_cools_is_probed_and_closes() -> None:
    clock = Clock()
    circuit = Circuit(clock)
    circuit.failed()
    assert (circuit.is_closed, circuit.wants_probe) == (False, False)
    clock.now = COOL_SECONDS
    assert circuit.wants_probe
    circuit.probing()
    assert not circuit.wants_probe, "one probe at a time"
    circuit.worked()
    assert circuit.is_closed


def test_a_probe_in_vain_doubles_the_wait_up_to_a_limit() -> None:
    clock = Clock()
    circuit = Circuit(clock)
    circuit.failed()
    waits = []
    for _ in range(6):
        began = clock.now
        while not circuit.wants_probe:
            clock.now += 1.0
        waits.append(clock.now - began)
        circuit.probing()
        circuit.failed()
    assert waits == [10.0, 20.0, 40.0, 80.0, LONGEST_SECONDS, LONGEST_SECONDS]


def test_being_slow_once_is_forgiven_and_twice_in_a_row_is_not() -> None:
    circuit = Circuit(Clock())
    circuit.slow()
    circuit.worked()
    circuit.slow()
    assert circuit.is_closed
    circuit.slow()
    assert not circuit.is_closed


# ── words ──
@pytest.mark.parametrize(
    ("said", "comes", "new"),
    [
        ("We are open from nine", [" to", " five."], " to five."),
        ("We are open from nine", ["open ", "from ", "nine ", "to ", "five."], " to five."),
        ("We are open from nine", ["We are open from nine to five."], " to five."),
        ("We are open from nine", ["Nine, to five."], " to five."),
        ("We are open", ["We", " sell", " cars."], "We sell cars."),
        ("We are open.", ["We are open."], ""),
        ("", ["Anything", " at all"], "Anything at all"),
    ],
)
def test_only_what_is_new_is_said(said: str, comes: list[str], new: str) -> None:
    unsaid = Unsaid(said)
    assert "".join([unsaid.take(piece) for piece in comes]) + unsaid.end() == new


def test_new_words_are_not_held_back() -> None:
    unsaid = Unsaid("We are open from nine")
    assert unsaid.take(" to five") == " to five"


def test_the_rest_begins_with_the_first_word_that_was_not_heard() -> None:
    spoken = Spoken("We are open from nine to five.", pace=10.0)
    spoken.add(1.0, [])
    assert spoken.rest() == "from nine to five.", "ten letters are We are ope: the third word counts as said"
    spoken.add(9.0, [])
    assert spoken.rest() == ""


def test_a_voice_that_tells_when_words_are_heard_is_believed() -> None:
    spoken = Spoken("We are open from nine.", pace=100.0)
    words = [("We ", 0.0), ("are ", 0.2), ("open ", 0.4), ("from ", 0.9)]
    spoken.add(0.5, [TimedString(word, start_time=at, end_time=at + 0.1) for word, at in words])
    assert spoken.rest() == "from nine."


def test_nothing_was_heard_of_a_voice_that_made_no_sound() -> None:
    assert Spoken("We are open.", None).rest() == "We are open."


# ── chains ──
def names(part: Any) -> list[str]:
    if isinstance(part, FailoverSTT | FailoverLLM | FailoverTTS):
        return [link.name for link in part.chain.links]
    return [f"{part.provider}/{part.model}"]


def chooser(settings: ProviderSettings, **agent: Any) -> tuple[Chooser, list[str]]:
    warned: list[str] = []
    config = AgentConfig.model_validate({"agent_id": "a", "name": "A"} | agent)
    parts: Any = FakeParts()
    return Chooser(config, settings, parts, lambda code, message: warned.append(code)), warned


async def test_a_chain_is_what_was_asked_for_then_its_fallbacks_then_the_rest_then_this_machine() -> None:
    engine = {
        "provider": "anthropic",
        "model": "claude-sonnet-4-6",
        "fallbacks": [{"provider": "openai", "model": "gpt-4o"}, {"provider": "gemini"}],
    }
    choosing, warned = chooser(EVERYTHING, engine=engine)
    mind, _, is_scripted = choosing.mind()
    assert names(mind) == [
        "anthropic/claude-sonnet-4-6",
        "openai/gpt-4o",
        "openrouter/openrouter/auto",
        "unknown/unknown",
    ]
    assert (warned, is_scripted) == ([], False)
    await mind.aclose()


async def test_voices_fall_back_to_those_of_the_language() -> None:
    choosing, warned = chooser(EVERYTHING, voice_id="deepgram-aura-2-thalia-en")
    assert names(choosing.voice())[0].startswith("deepgram/aura-2-thalia-en")
    turkish, _ = chooser(EVERYTHING, voice_id="openai-nova", language="tr-TR")
    assert [name.split("/")[0] for name in names(turkish.voice())] == ["openai", "unknown"]
    assert warned == []


async def test_ears_that_are_not_here_are_warned_of_and_options_that_are_wrong_left_out() -> None:
    wrong = {"provider": "deepgram", "model": "flux", "options": {"eot_threshold": 7}}
    choosing, warned = chooser(EVERYTHING, hearing={"provider": "elevenlabs", "fallbacks": [wrong]})
    assert names(choosing.ears())[0] == "deepgram/flux-general-en"
    assert warned == ["stt_options", "stt_unavailable"]


async def test_without_a_key_there_is_no_chain_and_nothing_to_pay_for_one() -> None:
    choosing, _ = chooser(ProviderSettings(), engine={"provider": "scripted"})
    assert not isinstance(choosing.mind()[0], FailoverLLM)
    assert not isinstance(choosing.ears(), FailoverSTT)
    assert not isinstance(choosing.voice(), FailoverTTS)


async def test_when_all_are_ill_all_are_asked_and_the_failure_is_told_once() -> None:
    first, second = TableLLM(), TableLLM()
    first.fails = second.fails = True
    chain: Chain[llm.LLM[Any]] = Chain("llm", [Link("one", first), Link("two", second)])
    mind = FailoverLLM(chain, Patience())
    failures: list[Any] = []
    mind.on("error", failures.append)
    context = llm.ChatContext.empty()
    context.add_message(role="user", content="Hello?")
    for _ in range(2):
        with pytest.raises(Exception, match="every language model failed"):
            await mind.chat(chat_ctx=context).collect()
    assert (len(first.asked), len(second.asked)) == (2, 2)
    assert [failure.recoverable for failure in failures] == [False, False]
    await mind.aclose()
