"""Be silent first, decide after: the agent's sound is held soon after somebody speaks over it.

    user   ▁▁▁▁▁▁▁▁▁▁███▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁██████████▁▁▁▁
                     └┘ two windows of 32 ms    └min_duration┘
    agent  ████████████▌▁▁██████████████████▌▁▁▁▁▁▁✂▁▁    too short: it goes on; a word: cut off

LiveKit interrupts once `min_duration` is reached: it holds the sound of the same output, and from then on the
hold is its own. What never gets so far is let go by us as soon as two windows are quiet. Who was hushed in
error twice within a while (a dog, a television, somebody who murmurs) is not hushed for a while.
"""

import asyncio
import time
from collections import deque
from typing import Any

from livekit.agents import AgentFalseInterruptionEvent, AgentSession, AgentStateChangedEvent, vad
from livekit.agents.voice import io

SURE, LIKELY = 0.8, 0.7
"""Two windows in a row of which the detector is sure, or three that are likely."""
QUIET_WINDOWS = 2
"""A word has gaps of one in it."""
_SPEECH = 0.5
MARGIN_SECONDS = 0.1
"""After the time at which it would have been an interruption, whatever the reason why it was none."""
MOST_FALSE = 2
WITHIN_SECONDS = 15.0
REST_SECONDS = 30.0


class Hush:
    """Of one session. `minimum_seconds` of speech are an interruption; `warmup_seconds` belong to echoes."""

    def __init__(self, minimum_seconds: float, warmup_seconds: float) -> None:
        self._minimum_seconds, self._warmup_seconds = minimum_seconds, warmup_seconds
        self._session: AgentSession[Any] | None = None
        self._sure = self._likely = self._quiet = 0
        """Windows in a row."""
        self._held: io.AudioOutput | None = None
        """What we hold, and nobody else."""
        self._timer: asyncio.TimerHandle | None = None
        self._first_sound_at: float | None = None
        self._was_ours = False
        self._false: deque[float] = deque(maxlen=MOST_FALSE)
        self._rests_until = 0.0

    def attach(self, session: AgentSession[Any]) -> None:
        """Hold this session's sound."""
        self._session = session
        session.on("agent_state_changed", self._agent_changed)
        session.on("agent_false_interruption", self._was_false)

    def heard(self, event: vad.VADEvent) -> None:
        """What the detector says, before the session hears it."""
        if event.type == vad.VADEventType.END_OF_SPEECH:
            self._go_on()
        if event.type != vad.VADEventType.INFERENCE_DONE:
            return
        self._sure = self._sure + 1 if event.probability >= SURE else 0
        self._likely = self._likely + 1 if event.probability >= LIKELY else 0
        if self._sure == 2 or self._likely == 3:
            self._hold()
        if event.probability >= _SPEECH:
            self._quiet = 0
        else:
            self._quiet += 1
            if self._quiet == QUIET_WINDOWS:
                self._go_on()

    def _hold(self) -> None:
        output = self._may_hold()
        if output is None or self._held is not None:
            return
        self._held, self._was_ours = output, True
        output.pause()
        wait = self._minimum_seconds + MARGIN_SECONDS
        self._timer = asyncio.get_running_loop().call_later(wait, self._go_on)

    def _may_hold(self) -> io.AudioOutput | None:
        """The output, where something is heard that may be interrupted."""
        session, now = self._session, time.monotonic()
        if session is None or session.agent_state != "speaking" or now < self._rests_until:
            return None
        if self._first_sound_at is None or now - self._first_sound_at < self._warmup_seconds:
            return None
        speech, output = session.current_speech, session.output.audio
        if speech is None or speech.interrupted or not speech.allow_interruptions:
            return None
        return output if output is not None and output.can_pause else None

    def _go_on(self) -> None:
        """It was nothing, or too little to tell."""
        if (output := self._let_go()) is not None:
            self._note()
            output.resume()

    def _let_go(self) -> io.AudioOutput | None:
        """What was held by us until now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        output, self._held = self._held, None
        return output

    def _agent_changed(self, event: AgentStateChangedEvent) -> None:
        if event.new_state == "speaking":
            if self._first_sound_at is None:
                self._first_sound_at = time.monotonic()
            return
        # LiveKit has taken the hold over, unless what was held is over: nobody else knows of it then.
        output = self._let_go()
        speech = self._session.current_speech if self._session is not None else None
        if output is not None and (speech is None or speech.interrupted or speech.done()):
            output.resume()

    def _was_false(self, event: AgentFalseInterruptionEvent) -> None:
        if self._was_ours:
            self._note()

    def _note(self) -> None:
        """In error, once more."""
        now = time.monotonic()
        self._was_ours = False
        self._false.append(now)
        if len(self._false) == MOST_FALSE and now - self._false[0] < WITHIN_SECONDS:
            self._rests_until = now + REST_SECONDS
