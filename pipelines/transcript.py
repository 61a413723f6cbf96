"""What was said in a call, and how it reads."""

from collections.abc import Sequence
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, FiniteFloat

Role = Literal["user", "agent", "supervisor", "person"]
"""A supervisor is a person who talked in the agent's place, or with two who were put through; a person is
whom the caller was put through to."""


class Utterance(BaseModel):
    """One stretch of speech by one party.

    `text` is what was *heard*: an agent's utterance that was cut off ends where the sound ended.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    utterance_id: str
    role: Role
    text: str
    started_at: AwareDatetime
    ended_at: AwareDatetime
    was_interrupted: bool = False
    is_typed: bool = False
    """True for what a person typed instead of saying it."""


class TurnLatency(BaseModel):
    """Where the time between a person's last word and the agent's first sound went, in milliseconds.

        user   ▁▁███▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁
                    └vad┘
                    └endpointing┴kb┴─llm─┴─tts─┴out┘
        agent  ▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁████

    `vad_ms` (until the detector let go) and `stt_ms` (until the final transcript) run inside
    `endpointing_ms`; `first_sentence_ms` counts from asking the engine, as `llm_first_token_ms` does.
    None means that the stage did not take place or could not be seen.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    vad_ms: FiniteFloat | None = None
    endpointing_ms: FiniteFloat | None = None
    stt_ms: FiniteFloat | None = None
    knowledge_ms: FiniteFloat | None = None
    llm_first_token_ms: FiniteFloat | None = None
    first_sentence_ms: FiniteFloat | None = None
    tts_first_audio_ms: FiniteFloat | None = None
    playout_ms: FiniteFloat | None = None
    total_ms: FiniteFloat | None = None


class Turn(BaseModel):
    """One answer of the agent with what it cost in time. `utterance_id` is the agent's utterance."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    utterance_id: str
    latency: TurnLatency


class PassageUsed(BaseModel):
    """A passage that an answer had before it; `score` says how sure it was, 0 to 1."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    base_id: str = ""
    source_id: str
    title: str
    text: str
    score: FiniteFloat


def as_text(utterances: Sequence[Utterance]) -> str:
    """One line for each utterance, `Agent: …` or `User: …`, in the order they began."""
    ordered = sorted(utterances, key=lambda utterance: utterance.started_at)
    return "\n".join(f"{utterance.role.capitalize()}: {utterance.text}" for utterance in ordered)
