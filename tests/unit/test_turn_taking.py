"""Two human numbers and a mode into LiveKit's options, and nothing that would choose a cloud."""

from typing import Any

import pytest
from livekit.agents import stt

from pipelines.agent_config import AgentConfig
from pipelines.end_of_turn import WordsAndPauses
from pipelines.turn_taking import (
    complete_seconds,
    endpointing_seconds,
    interruption_seconds,
    open_seconds,
    turn_taking,
)
from tests.support.fake_providers import ListSTT


class Streaming(ListSTT):
    """A recogniser that gives its words as they come; `model` says which it is like."""

    def __init__(self, model: str = "nova-3", *, waits_for_a_flush: bool = False) -> None:
        super().__init__()
        self._capabilities = stt.STTCapabilities(
            streaming=True, interim_results=True, manual_flush=waits_for_a_flush
        )
        self._name = model

    @property
    def model(self) -> str:
        return self._name


def agent(responsiveness: float = 0.5, **turns: Any) -> AgentConfig:
    return AgentConfig.model_validate(
        {"agent_id": "a", "name": "A", "responsiveness": responsiveness, "turns": turns}
    )


@pytest.mark.parametrize(("number", "seconds"), [(0.0, 1.2), (0.5, 0.49), (1.0, 0.2)])
def test_a_more_responsive_agent_waits_less(number: float, seconds: float) -> None:
    assert endpointing_seconds(number) == pytest.approx(seconds, abs=0.01)


@pytest.mark.parametrize(("number", "seconds"), [(0.0, 0.9), (0.5, 0.25), (1.0, 0.07)])
def test_a_more_sensitive_agent_yields_sooner(number: float, seconds: float) -> None:
    assert interruption_seconds(number) == pytest.approx(seconds, abs=0.01)


@pytest.mark.parametrize("number", [0.0, 0.3, 0.5, 1.0])
def test_what_is_complete_waits_least_and_what_is_open_outlasts_a_pause_of_900_ms(number: float) -> None:
    assert complete_seconds(number) < endpointing_seconds(number) < open_seconds(number)
    assert open_seconds(number) > 1.1


@pytest.mark.parametrize("mode", ["words", "vad", "stt"])
@pytest.mark.parametrize("model", ["nova-3", "flux-general-en"])
def test_every_mode_is_named_so_that_no_cloud_is_chosen(mode: str, model: str) -> None:
    handling = turn_taking(agent(detection=mode), Streaming(model)).handling
    assert isinstance(handling["turn_detection"], WordsAndPauses) or handling["turn_detection"] in (
        "vad",
        "stt",
    )
    assert handling["interruption"]["mode"] == "vad"


def test_the_audio_model_is_the_one_that_runs_here() -> None:
    taking = turn_taking(agent(detection="model"), Streaming())
    assert taking.handling["turn_detection"].model == "turn-detector-v1-mini"  # type: ignore[union-attr]
    assert taking.vad_silence_seconds >= 0.25, "it refuses to work with less"


def test_a_recogniser_that_ends_turns_is_trusted_with_it() -> None:
    trusted = turn_taking(agent(), Streaming("flux-general-en")).handling
    assert (trusted["turn_detection"], trusted["endpointing"]["min_delay"]) == ("stt", 0.0)
    told = turn_taking(agent(detection="vad"), Streaming("flux-general-en")).handling
    assert told["turn_detection"] == "vad"
    other = turn_taking(agent(detection="stt"), Streaming("nova-3")).handling
    assert (other["turn_detection"], other["endpointing"]["min_delay"] > 0) == ("stt", True)


def test_only_a_recogniser_that_gives_words_by_itself_is_asked_after_a_short_silence() -> None:
    quick = turn_taking(agent(), Streaming()).vad_silence_seconds
    told = turn_taking(agent(), Streaming(waits_for_a_flush=True)).vad_silence_seconds
    assert quick < 0.1
    assert told == 0.25
    assert turn_taking(agent(detection="vad"), Streaming()).vad_silence_seconds == 0.25


@pytest.mark.parametrize("responsiveness", [0.0, 0.3, 1.0])
def test_the_detector_never_waits_longer_than_what_ends_an_unclear_turn(responsiveness: float) -> None:
    taking = turn_taking(agent(responsiveness=responsiveness, detection="vad"), ListSTT())
    assert taking.vad_silence_seconds <= taking.handling["endpointing"]["min_delay"]


def test_what_an_owner_asks_of_interruptions_is_handed_on() -> None:
    taking = turn_taking(
        agent(min_interruption_words=2, backchannel=False, endpointing="dynamic"), Streaming()
    )
    assert taking.handling["interruption"]["min_words"] == 2
    assert taking.handling["endpointing"]["mode"] == "dynamic"
    assert taking.backchannels is None
