"""What says that whoever has a call is not there any more, each sign taken back by itself."""

import asyncio
from collections.abc import Callable
from typing import Literal

from livekit import rtc

BACK_SECONDS = 6.0
"""Whoever has the call lost their network: the caller waits so long, in silence."""
HERE_TOPIC = "call2me.here"
"""Data of this topic from whoever has the call says each second that they are there, muted or not."""
AWAY_SECONDS = 4.0
"""Nothing more of it, of somebody who has said it once: a few may be lost, or late in a hidden page."""

Sign = Literal["network", "packets", "ours", "track", "here"]


class Signs:
    """`give_up` is called once a sign has lasted for as long as the caller waits."""

    def __init__(self, give_up: Callable[[], None]) -> None:
        self._give_up = give_up
        self._loop = asyncio.get_running_loop()
        self._missed: set[Sign] = set()
        self._grace: asyncio.TimerHandle | None = None
        self._here_at: dict[str, float] = {}
        """When each of those who say so last said that they are there, by identity."""

    def miss(self, sign: Sign, seconds: float = BACK_SECONDS) -> None:
        """It says that they are gone; the first of them sets the clock."""
        self._missed.add(sign)
        if self._grace is None:
            self._grace = self._loop.call_later(seconds, self._give_up)

    def meet(self, sign: Sign) -> None:
        """It does not say so any more."""
        self._missed.discard(sign)
        if not self._missed:
            self.forget()

    def forget(self) -> None:
        """Nobody is waited for."""
        self._missed.clear()
        if self._grace is not None:
            self._grace.cancel()
            self._grace = None

    def came(self, packet: rtc.DataPacket) -> None:
        """Data from somebody in the room."""
        if packet.topic == HERE_TOPIC and packet.participant is not None:
            self._here_at[packet.participant.identity] = self._loop.time()

    def left(self, identity: str) -> None:
        """They are not in the room any more, and say nothing."""
        self._here_at.pop(identity, None)

    def look_for(self, identity: str) -> None:
        """Whether they still say that they are there, if they ever did."""
        now = self._loop.time()
        if now - self._here_at.get(identity, now) < AWAY_SECONDS:
            self.meet("here")
        else:
            self.miss("here", BACK_SECONDS - AWAY_SECONDS)
