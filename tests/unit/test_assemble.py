"""What an agent asks for, answered by what is here."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from livekit import rtc

from pipelines import resuming
from pipelines.agent_config import AgentConfig
from pipelines.assemble import Pipeline, assemble
from pipelines.contract.brief import CallBrief, FunctionRun
from pipelines.local.parts import CannotServe, Local
from pipelines.providers import ProviderSettings, available
from pipelines.tools.developer import Functions, load
from pipelines.transcript import Role, Utterance
from tests.support.fake_providers import FakeParts

NOW = datetime(2026, 3, 5, 9, 7, tzinfo=UTC)
NO_FUNCTIONS = Functions()
NOTHING = ProviderSettings()
OPENAI = ProviderSettings(openai_api_key="key")
OLLAMA = ProviderSettings(openai_base_url="http://127.0.0.1:11434/v1", llm_model="llama")


def brief(**changes: Any) -> CallBrief:
    engine = {"instructions": "Be kind to {{name}}.", "provider": "scripted", "model": ""}
    agent = {"agent_id": "a", "name": "A", "engine": engine, "begin_message": "Hello {{name}}."} | changes
    return CallBrief(call_id="c", agent=AgentConfig.model_validate(agent), variables={"name": "Ada"})


async def built(
    settings: ProviderSettings = NOTHING, functions: Functions = NO_FUNCTIONS, **changes: Any
) -> Pipeline:
    return await assemble(brief(**changes), settings, functions, NOW, local=FakeParts())


def codes(pipeline: Pipeline) -> list[str]:
    return [warned.code for warned in pipeline.warnings]


async def test_an_agent_that_asks_for_what_is_here_is_not_warned_about() -> None:
    pipeline = await built()
    assert codes(pipeline) == []
    assert pipeline.agent.instructions == "Be kind to Ada."
    assert codes(await built(voice_id="default")) == [], "it asks for whatever is here"


async def test_what_the_sdk_asks_for_is_answered_by_the_default_with_warnings() -> None:
    pipeline = await built(
        engine={"provider": "openrouter", "model": "openrouter/auto"}, voice_id="elevenlabs-CFzl8W"
    )
    assert codes(pipeline) == ["llm_unavailable", "voice_unavailable"]
    assert pipeline.warnings[0].message.startswith("openrouter/auto is not available here")


@pytest.mark.parametrize(
    ("settings", "engine", "model", "warned"),
    [
        (OPENAI, {"provider": "openai", "model": "gpt-4o"}, "gpt-4o", []),
        (OPENAI, {"provider": "anthropic", "model": "claude"}, "gpt-4.1-mini", ["llm_unavailable"]),
        (
            replace(OPENAI, llm_model="mine"),
            {"provider": "openai", "model": "gpt-4o"},
            "mine",
            ["llm_unavailable"],
        ),
        (OLLAMA, {"provider": "openrouter", "model": "auto"}, "llama", ["llm_unavailable"]),
        (replace(OLLAMA, llm_model=""), {"provider": "openai", "model": "qwen"}, "qwen", []),
        (OPENAI, {"provider": "call2me", "model": "call2me"}, "gpt-4.1-mini", []),
        (replace(OPENAI, llm_model="mine"), {"provider": "call2me", "model": ""}, "mine", []),
        (OLLAMA, {"provider": "call2me", "model": "call2me"}, "llama", []),
        (NOTHING, {"provider": "call2me", "model": "call2me"}, "unknown", []),
    ],
)
async def test_the_model_is_as_asked_where_it_can_be(
    settings: ProviderSettings, engine: dict[str, str], model: str, warned: list[str]
) -> None:
    pipeline = await built(settings, engine=engine)
    assert (pipeline.llm.model, codes(pipeline)) == (model, warned)
    await pipeline.llm.aclose()


async def test_voices_of_openai_are_used_where_the_key_is_openais_or_they_are_asked_for() -> None:
    engine = {"provider": "openai", "model": "gpt-4o"}
    assert (await built(OPENAI, engine=engine, voice_id="openai-alloy")).warnings == ()
    default = await built(OPENAI, engine=engine, voice_id="azure-tr-emel")
    assert (default.tts_name, codes(default)) == ("openai/gpt-4o-mini-tts", ["voice_unavailable"])
    compatible = replace(OPENAI, openai_base_url="http://127.0.0.1:1/v1")
    assert (await built(compatible, engine=engine)).tts_name == "unknown/unknown", "the local voice"
    asked = await built(compatible, engine=engine, voice_id="openai-alloy")
    assert asked.tts_name.endswith("gpt-4o-mini-tts")


@pytest.mark.parametrize("settings", [NOTHING, OPENAI, OLLAMA])
async def test_the_voice_of_this_house_is_whatever_voice_is_here(settings: ProviderSettings) -> None:
    engine = {"provider": "call2me", "model": "call2me"}
    assert codes(await built(settings, engine=engine, voice_id="hibari-default")) == []


async def test_functions_are_found_by_name_and_missing_ones_named(tmp_path: Path) -> None:
    (tmp_path / "f.py").write_text(
        "from livekit.agents import function_tool\n@function_tool\ndef book() -> str:\n    'Book.'\n"
    )
    (tmp_path / "g.py").write_text("1/0")
    asked = [{"type": "python", "name": name} for name in ("book", "gone", "book")]
    pipeline = await built(functions=load(tmp_path), engine={"provider": "scripted", "functions": asked})
    assert [tool.id for tool in pipeline.agent.tools] == ["book"]
    assert codes(pipeline) == ["function_broken", "function_unavailable"]


async def test_a_language_without_a_recogniser_or_a_voice_is_refused_with_what_to_do() -> None:
    local = Local(NOTHING)
    with pytest.raises(CannotServe, match="DEEPGRAM_API_KEY"):
        local.stt("en-US")
    with pytest.raises(CannotServe, match="OPENAI_API_KEY"):
        local.llm("xx")
    with pytest.raises(CannotServe, match="espeak-ng"):
        local.tts("qq", 1.0)
    with pytest.raises(CannotServe, match="does not know"):
        Local(replace(NOTHING, models_socket=Path("/tmp/none.sock"))).stt("qq")


def said(role: Role, text: str, seconds: float) -> Utterance:
    at = NOW + timedelta(seconds=seconds)
    return Utterance(utterance_id=f"u{seconds}", role=role, text=text, started_at=at, ended_at=at)


async def resumed(**changes: Any) -> Pipeline:
    made = brief().model_copy(update={"attempt": 2, **changes})
    return await assemble(made, NOTHING, Functions(), NOW, local=FakeParts())


async def test_a_call_that_goes_on_is_answered_and_not_greeted_again() -> None:
    pipeline = await resumed(transcript=(said("user", "My name is Ada.", 1),))
    opening = pipeline.agent._opening
    assert (opening.words, opening.then_answers) == ("Sorry, I was cut off for a moment.", True)
    assert [item.text_content for item in pipeline.agent.chat_ctx.items if item.type == "message"][-1:] == [
        "My name is Ada."
    ]
    invited = (await resumed(transcript=(said("agent", "Hello Ada.", 1),))).agent._opening
    assert (invited.words[-13:], invited.then_answers) == ("Please go on.", False)
    assert (await resumed()).agent._opening.words == "Hello Ada.", "nobody has said anything yet"


def test_a_function_that_was_under_way_is_told_as_interrupted_and_the_others_as_done() -> None:
    done = FunctionRun(
        function_call_id="f1", name="book", arguments={"day": "é"}, result="Booked.", started_at=NOW
    )
    cut_off = FunctionRun(
        function_call_id="f2", name="pay", arguments={}, started_at=NOW + timedelta(seconds=3)
    )
    told = (said("agent", "I pay now.", 2), said("user", "Book and pay.", -1))
    again = brief().model_copy(update={"attempt": 2, "transcript": told, "functions": (cut_off, done)})
    assert resuming.owes_answer(again), "the person waits for it"
    kept = resuming.context(again).items
    assert [item.type for item in kept] == [
        "message",
        "function_call",
        "function_call_output",
        "message",
        "function_call",
        "function_call_output",
    ]
    outputs = [item for item in kept if item.type == "function_call_output"]
    assert [(output.call_id, output.is_error) for output in outputs] == [("f1", False), ("f2", True)]
    assert outputs[0].output == "Booked."
    assert "interrupted" in outputs[1].output


async def test_a_function_that_was_under_way_keeps_its_key_and_one_that_succeeded_gets_another() -> None:
    first = (await built()).toolbox.rails
    run = FunctionRun(function_call_id="f1", name="pay", arguments={"sum": 5}, started_at=NOW)
    same = 'pay {"sum": 5}'
    heard = {"transcript": (said("user", "Pay.", -1),)}
    interrupted = (await resumed(**heard, functions=(run,))).toolbox.rails
    assert interrupted._key(same) == first._key(same)
    done = (await resumed(**heard, functions=(run.model_copy(update={"result": "Paid."}),))).toolbox.rails
    assert done._key(same) != first._key(same)


async def test_an_engine_without_words_for_a_greeting_is_asked_for_them() -> None:
    assert "Greet" in (await built(begin_message="")).agent._opening.instructions
    dynamic = await built(OPENAI, engine={"provider": "openai", "model": "gpt-4o"})
    assert "Hello Ada." in dynamic.agent._opening.instructions


async def test_a_session_beside_the_talk_does_not_hush_its_agent() -> None:
    pipeline = await built()
    hush = pipeline.turns.hush
    assert hush is not None
    quiet = rtc.AudioFrame(bytes(2 * 16_000), 16_000, 1, 16_000)
    pipeline.another_vad().stream().push_frame(quiet)
    assert hush._quiet == 0
    pipeline.vad.stream().push_frame(quiet)
    assert hush._quiet > 0


def test_what_is_offered_says_how_to_get_the_rest() -> None:
    offers = available(NOTHING)
    assert all(offer.is_available or offer.hint for offer in offers)
    assert {offer.provider for offer in available(OPENAI) if offer.is_available} >= {"openai", "scripted"}
