"""When the agent answers and when it lets itself be interrupted: every mode, mapped to LiveKit's options.

`responsiveness` (0 patient, 1 quick) sets three waits, all counted from the last sound of speech. Which of
them applies is read from the words (`end_of_turn`), where the agent's turn detection is "words":

    user   ▁▁█████▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁
                  └┘ complete            "What are your hours?"
                  └─ unclear ─┘          "Tuesday"
                  └───── open ─────┘     "My number is five five"
    stt    ▁▁▁▁▁▁▁▁▁▁▁██text▁▁▁▁▁▁▁▁▁    runs inside the wait, or the turn waits for it
    agent  ▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁████████    with preemptive generation it thinks while it waits

    detection  who decides that a turn is over                                      waits
    words      the words, with the three waits above; the default                   complete, unclear, open
    vad        the pause alone                                                      unclear
    stt        the recogniser (Deepgram Flux: its own end-of-turn; others: their    none (Flux), unclear
               end of speech)
    model      LiveKit's local audio model v1-mini: 0.1 CPU-seconds a pause, and    complete, open
               260 MB in each process; only where its owner asks for it

With `dynamic` endpointing the shortest of a mode's waits grows to the pauses this person makes.

`interruption_sensitivity` (0 hard to interrupt, 1 yields at once) decides how much speech over the
agent's own is meant:

    user   ▁▁▁▁▁▁▁▁▁▁▁▁██▁▁▁▁▁▁▁▁▁████████▁▁▁▁▁▁
                                  └min_duration┘
    agent  ▁▁████████████████████▌▁▁▁▁▁▁▁✂▁▁▁▁▁▁     hushed at once (`hush`), and cut off where the
                                                      min_duration is reached

Below a sensitivity of 0.4 it is not hushed: whoever is hard to interrupt talks on until then.

Speech that turns out to be no words (a cough, a door), or that only listens ("uh-huh", `backchannels`),
pauses the agent, which then goes on:

    user   ▁▁▁▁▁▁▁▁▁▁██▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁
                       └resume┘
    agent  ████████████▌▁▁▁▁▁▁▁████████
"""

import math
from dataclasses import dataclass
from typing import Any

from livekit.agents import AgentSession, TurnHandlingOptions, stt
from livekit.agents.voice.turn import EndpointingOptions, TurnDetectionMode

from pipelines.agent_config import AgentConfig
from pipelines.backchannels import Backchannels
from pipelines.end_of_turn import WordsAndPauses
from pipelines.hush import Hush

_COMPLETE_SECONDS = (0.5, 0.024)
_UNCLEAR_SECONDS = (1.2, 0.2)
_OPEN_SECONDS = (2.7, 1.2)
"""At responsiveness 0 and 1. The last is never shorter than a person who looks something up."""
_YIELD_SECONDS = (0.9, 0.07)
"""At interruption sensitivity 0 and 1."""

# Whisper answers about 0.4 s after the detector let go of the speech: waiting less for silence splits
# sentences, waiting more delays every answer by as much.
VAD_SILENCE_SECONDS = 0.25
# Three windows. A recogniser that streams has the words by itself, and they say what the silence means.
QUICK_VAD_SILENCE_SECONDS = 0.096
# Counted from the end of the speech. Words that come later interrupt all the same.
_RESUME_SECONDS = 0.9
_QUICK_RESUME_SECONDS = 0.5
HUSHES_FROM = 0.4
"""Interruption sensitivity. Below it the agent is meant to talk on, and would be held for up to a second."""
ECHO_WARMUP_SECONDS = 1.0
"""For so long after the first sound an echo canceller is still learning; nothing interrupts then."""


def _between(ends: tuple[float, float], number: float) -> float:
    """Even steps sound even: a straight line between logarithms."""
    return ends[0] * math.pow(ends[1] / ends[0], number)


def complete_seconds(responsiveness: float) -> float:
    """Pause after a finished sentence: 0.5 s at 0, 0.11 s at 0.5, 0.02 s at 1."""
    return _between(_COMPLETE_SECONDS, responsiveness)


def endpointing_seconds(responsiveness: float) -> float:
    """Pause that ends a turn when nothing else is known: 1.2 s at 0, 0.49 s at 0.5, 0.2 s at 1."""
    return _between(_UNCLEAR_SECONDS, responsiveness)


def open_seconds(responsiveness: float) -> float:
    """Pause that ends a turn although its words go on: 2.7 s at 0, 1.8 s at 0.5, 1.2 s at 1."""
    return _between(_OPEN_SECONDS, responsiveness)


def interruption_seconds(sensitivity: float) -> float:
    """Speech over the agent's that interrupts it: 0.9 s at 0, 0.25 s at 0.5, 0.07 s at 1; even steps.

    A cough or a clap is shorter than 0.25 s where the detector takes it for speech at all, and a word is
    longer. What is stopped in error goes on by itself.
    """
    return _between(_YIELD_SECONDS, sensitivity)


@dataclass(frozen=True)
class TurnTaking:
    """How one agent takes turns. What is None, the mode or the agent does without."""

    handling: TurnHandlingOptions
    vad_silence_seconds: float
    """Silence after which the detector says that somebody stopped; at most what ends a turn."""
    words: WordsAndPauses | None
    backchannels: Backchannels | None
    hush: Hush | None = None

    def attach(self, session: AgentSession[Any]) -> None:
        """Follow the session these options were given to."""
        for part in (self.words, self.backchannels, self.hush):
            if part is not None:
                part.attach(session)


def turn_taking(agent: AgentConfig, hears: stt.STT[Any]) -> TurnTaking:
    """Everything about turns, for this agent with these ears. No cloud detector is ever chosen."""
    is_quick = _gives_words_by_itself(hears)
    asked = agent.turns
    mode = "stt" if asked.detection == "words" and _ends_turns(hears) else asked.detection
    patience = endpointing_seconds(agent.responsiveness)
    words = WordsAndPauses(agent.language, patience) if mode == "words" else None
    resume = _QUICK_RESUME_SECONDS if is_quick else _RESUME_SECONDS
    silence = QUICK_VAD_SILENCE_SECONDS if mode == "words" and is_quick else VAD_SILENCE_SECONDS
    detection: TurnDetectionMode = words if words is not None else "vad"
    if mode == "stt":
        detection = "stt"
    elif mode == "model":
        from livekit.agents.inference import TurnDetector  # noqa: PLC0415 - only where it was asked for

        detection = TurnDetector(version="v1-mini")
    return TurnTaking(
        handling=TurnHandlingOptions(
            turn_detection=detection,
            endpointing=_endpointing(agent, mode, ends_turns=_ends_turns(hears)),
            interruption={
                "enabled": True,
                "mode": "vad",
                "min_duration": interruption_seconds(agent.interruption_sensitivity),
                "min_words": asked.min_interruption_words,
                "resume_false_interruption": True,
                "false_interruption_timeout": resume,
            },
            preemptive_generation={"enabled": True, "preemptive_tts": False},
        ),
        vad_silence_seconds=silence if mode == "model" else min(silence, patience),
        words=words,
        backchannels=Backchannels(agent.language, resume) if asked.backchannel else None,
        hush=_hush(agent),
    )


def _hush(agent: AgentConfig) -> Hush | None:
    """None where a sound alone does not stop the agent, or not soon."""
    if agent.interruption_sensitivity < HUSHES_FROM or agent.turns.min_interruption_words:
        return None
    return Hush(interruption_seconds(agent.interruption_sensitivity), ECHO_WARMUP_SECONDS)


def _endpointing(agent: AgentConfig, mode: str, *, ends_turns: bool) -> EndpointingOptions:
    shortest = endpointing_seconds(agent.responsiveness)
    if mode in ("words", "model"):
        shortest = complete_seconds(agent.responsiveness)
    elif mode == "stt" and ends_turns:
        shortest = 0.0
    return {
        "mode": agent.turns.endpointing,
        "min_delay": shortest,
        "max_delay": open_seconds(agent.responsiveness),
    }


def _ends_turns(hears: stt.STT[Any]) -> bool:
    """True for a recogniser that decides itself that a turn is over."""
    return hears.model.startswith("flux")


def _gives_words_by_itself(hears: stt.STT[Any]) -> bool:
    """True for one that streams its words and does not wait to be told that speech has ended."""
    can = hears.capabilities
    return can.streaming and bool(can.interim_results) and not can.manual_flush
