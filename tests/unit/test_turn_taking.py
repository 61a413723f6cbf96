"""Two human numbers into LiveKit's options, and nothing that would choose a cloud."""

import pytest

from pipelines.agent_config import AgentConfig
from pipelines.turn_taking import (
    endpointing_seconds,
    interruption_seconds,
    turn_handling,
    vad_silence_seconds,
)


def agent(responsiveness: float = 0.5, sensitivity: float = 0.5) -> AgentConfig:
    return AgentConfig(
        agent_id="a", name="A", responsiveness=responsiveness, interruption_sensitivity=sensitivity
    )


@pytest.mark.parametrize(("number", "seconds"), [(0.0, 1.2), (0.5, 0.49), (1.0, 0.2)])
def test_a_more_responsive_agent_waits_less(number: float, seconds: float) -> None:
    assert endpointing_seconds(number) == pytest.approx(seconds, abs=0.01)


@pytest.mark.parametrize(("number", "seconds"), [(0.0, 0.9), (0.5, 0.25), (1.0, 0.07)])
def test_a_more_sensitive_agent_yields_sooner(number: float, seconds: float) -> None:
    assert interruption_seconds(number) == pytest.approx(seconds, abs=0.01)


def test_both_modes_are_named() -> None:
    options = turn_handling(agent())
    assert options["turn_detection"] == "vad"
    assert options["interruption"]["mode"] == "vad"


@pytest.mark.parametrize("responsiveness", [0.0, 0.3, 1.0])
def test_the_detector_never_waits_longer_than_what_ends_a_turn(responsiveness: float) -> None:
    options = turn_handling(agent(responsiveness))
    assert vad_silence_seconds(agent(responsiveness)) <= options["endpointing"]["min_delay"]
    assert options["endpointing"]["min_delay"] <= options["endpointing"]["max_delay"]
