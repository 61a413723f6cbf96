"""Tell "uh-huh" from a word that wants the floor: who only listens does not stop the agent.

    agent     ████████████████▁▁▁██████████████████      the sound is held where speech is heard
    user      ▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁█▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁
                             "uh-huh": known for what it is, the agent goes on, no turn is taken

A word of assent at the end of a question is an answer, and stays one.
"""

import time
from dataclasses import replace
from typing import Any

from livekit.agents import AgentSession, AgentStateChangedEvent, stt

from pipelines.sentence_ends import is_assent

_SECONDS_A_LETTER = 0.065
"""How long a voice takes for one; a little too short rather than too long."""
_NEARLY_OVER_SECONDS = 1.5
_AT_ONCE_SECONDS = 0.05


class Backchannels:
    """Takes what a listener murmurs while the agent talks out of what the session hears.

    `resume_seconds` is LiveKit's wait before it goes on after an interruption that had no words.
    """

    def __init__(self, language: str, resume_seconds: float) -> None:
        self._language = language
        self._resume_seconds = resume_seconds
        self._session: AgentSession[Any] | None = None
        self._saying = ""
        self._sounds_since: float | None = None
        self._speech: object = None

    def attach(self, session: AgentSession[Any]) -> None:
        """Know when the agent talks."""
        self._session = session
        session.on("agent_state_changed", self._agent_changed)

    def begins(self) -> None:
        """The agent is about to say something; `says` brings its words."""
        self._saying = ""

    def says(self, text: str) -> None:
        """More of what the agent is saying now."""
        self._saying += text

    def sift(self, event: stt.SpeechEvent) -> stt.SpeechEvent:
        """What the session should hear of this: itself, or no words."""
        kinds = (stt.SpeechEventType.INTERIM_TRANSCRIPT, stt.SpeechEventType.FINAL_TRANSCRIPT)
        if event.type not in kinds or not event.alternatives or not event.alternatives[0].text:
            return event
        listens = self._is_talking() and is_assent(event.alternatives[0].text, self._language)
        listens = listens and not self._is_answer()
        if self._session is not None:
            # Read again with each window of speech: the agent goes on as soon as the murmur is over.
            self._session.options.interruption["false_interruption_timeout"] = (
                _AT_ONCE_SECONDS if listens else self._resume_seconds
            )
        if not listens:
            return event
        nothing = replace(event.alternatives[0], text="")
        return replace(event, type=stt.SpeechEventType.INTERIM_TRANSCRIPT, alternatives=[nothing])

    def _is_talking(self) -> bool:
        """True while something the agent says was begun aloud and is neither over nor cut off."""
        speech = self._session.current_speech if self._session is not None else None
        return speech is not None and speech is self._speech and not speech.interrupted and not speech.done()

    def _is_answer(self) -> bool:
        """True when the agent asks something and is nearly through with it."""
        if ("?" not in self._saying and "？" not in self._saying) or self._sounds_since is None:
            return False
        takes = len(self._saying) * _SECONDS_A_LETTER
        return takes - (time.monotonic() - self._sounds_since) < _NEARLY_OVER_SECONDS

    def _agent_changed(self, event: AgentStateChangedEvent) -> None:
        if event.new_state != "speaking" or self._session is None:
            return
        speech = self._session.current_speech
        if speech is not self._speech:
            self._speech, self._sounds_since = speech, time.monotonic()
