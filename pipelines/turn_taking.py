"""When the agent answers and when it lets itself be interrupted, from two human numbers.

`responsiveness` (0 patient, 1 quick) decides how long a pause must be before it is an end:

    user   ▁▁█████▁▁▁███▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁
                 └a┘    └─min_delay─┘                a pause shorter than min_delay is not an end
    stt    ▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁└vad┘██text▁▁▁▁▁▁▁▁▁▁▁▁▁   runs inside min_delay, or the turn waits for it
    agent  ▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁████████▁

`interruption_sensitivity` (0 hard to interrupt, 1 yields at once) decides how much speech over the
agent's own is meant:

    user   ▁▁▁▁▁▁▁▁▁▁▁▁██▁▁▁▁▁▁▁▁▁████████▁▁▁▁▁▁
                                  └min_duration┘
    agent  ▁▁████████████████████████████▌▁▁▁▁▁▁     the sound stops where the min_duration is reached

Speech that turns out to be no words (a cough, a door) pauses the agent, which then goes on.
"""

import math

from livekit.agents import TurnHandlingOptions

from pipelines.agent_config import AgentConfig

PATIENT_DELAY_SECONDS = 1.2
QUICK_DELAY_SECONDS = 0.2
STUBBORN_YIELD_SECONDS = 0.9
QUICK_YIELD_SECONDS = 0.07
# Whisper answers about 0.4 s after the detector let go of the speech: waiting less for silence splits
# sentences, waiting more delays every answer by as much.
VAD_SILENCE_SECONDS = 0.25
ECHO_WARMUP_SECONDS = 1.0
"""For so long after the first sound an echo canceller is still learning; nothing interrupts then."""


def endpointing_seconds(responsiveness: float) -> float:
    """Pause that ends a turn: 1.2 s at 0, 0.49 s at 0.5, 0.2 s at 1; even steps sound even."""
    ratio = QUICK_DELAY_SECONDS / PATIENT_DELAY_SECONDS
    return PATIENT_DELAY_SECONDS * math.pow(ratio, responsiveness)


def interruption_seconds(sensitivity: float) -> float:
    """Speech over the agent's that interrupts it: 0.9 s at 0, 0.25 s at 0.5, 0.07 s at 1; even steps.

    A cough or a clap is shorter than 0.25 s where the detector takes it for speech at all, and a word is
    longer. What is stopped in error goes on by itself.
    """
    ratio = QUICK_YIELD_SECONDS / STUBBORN_YIELD_SECONDS
    return STUBBORN_YIELD_SECONDS * math.pow(ratio, sensitivity)


def vad_silence_seconds(agent: AgentConfig) -> float:
    """Silence after which the detector says that somebody stopped; at most what ends a turn."""
    return min(VAD_SILENCE_SECONDS, endpointing_seconds(agent.responsiveness))


def turn_handling(agent: AgentConfig) -> TurnHandlingOptions:
    """LiveKit's options for this agent. Both modes are named, so that no cloud detector is chosen."""
    return TurnHandlingOptions(
        turn_detection="vad",
        endpointing={
            "mode": "fixed",
            "min_delay": endpointing_seconds(agent.responsiveness),
            "max_delay": 3.0,
        },
        interruption={
            "enabled": True,
            "mode": "vad",
            "min_duration": interruption_seconds(agent.interruption_sensitivity),
            "min_words": 0,
            "resume_false_interruption": True,
            # Counted from the end of the speech; a local transcript takes up to a second on a busy machine.
            "false_interruption_timeout": 1.5,
        },
        preemptive_generation={"enabled": True, "preemptive_tts": False},
    )
