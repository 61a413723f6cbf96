"""A real telephone, PJSIP, that calls somebody, plays sound files and writes down what it hears.

    python -m tests.support.pjsip_caller URI HEARD.wav      stdin: play FILE.wav | leave

What it sees is written as JSON lines.
"""

import contextlib
import gc
import os
import sys
import time
from typing import Any

import pjsua2 as pj

from tests.support.pjsip_phone import say

LONGEST_SECONDS = 90.0


class Call(pj.Call):  # type: ignore[misc, unused-ignore]
    """The one it makes."""

    def __init__(self, account: Any, heard: str) -> None:
        super().__init__(account)
        self.path = heard
        self.recorder: Any = None
        self.players: list[Any] = []
        self.is_over = False

    def onCallState(self, parameter: object) -> None:  # noqa: N802
        """PJSIP's: it is in another state."""
        info = self.getInfo()
        self.is_over = info.state == pj.PJSIP_INV_STATE_DISCONNECTED
        say(state=info.stateText, code=info.lastStatusCode)

    def onCallMediaState(self, parameter: object) -> None:  # noqa: N802
        """PJSIP's: there is sound."""
        if self.recorder is None:
            self.recorder = pj.AudioMediaRecorder()
            self.recorder.createRecorder(self.path)
            self.getAudioMedia(-1).startTransmit(self.recorder)

    def play(self, path: str) -> None:
        """Say what is in a file, once."""
        player = pj.AudioMediaPlayer()
        player.createPlayer(path, pj.PJMEDIA_FILE_NO_LOOP)
        player.startTransmit(self.getAudioMedia(-1))
        self.players.append(player)


def main(uri: str, heard: str) -> None:
    """Until it is told to leave, or the other side has."""
    endpoint = pj.Endpoint()
    endpoint.libCreate()
    settings = pj.EpConfig()
    settings.uaConfig.threadCnt = 0
    settings.uaConfig.mainThreadOnly = True
    settings.logConfig.level = settings.logConfig.consoleLevel = 0
    settings.medConfig.clockRate = settings.medConfig.sndClockRate = 8000
    settings.medConfig.noVad = True
    settings.medConfig.ecTailLen = 0
    endpoint.libInit(settings)
    transport = pj.TransportConfig()
    transport.boundAddress = transport.publicAddress = "127.0.0.1"
    udp = endpoint.transportCreate(pj.PJSIP_TRANSPORT_UDP, transport)
    port = int(endpoint.transportGetInfo(udp).localName.rsplit(":", 1)[1])
    endpoint.libStart()
    endpoint.audDevManager().setNullDev()
    account = pj.Account()
    config = pj.AccountConfig()
    config.idUri = f"sip:+14155550100@127.0.0.1:{port}"
    config.mediaConfig.transportConfig.boundAddress = "127.0.0.1"
    config.mediaConfig.transportConfig.port = 20000 + port % 20000
    account.create(config)
    call = Call(account, heard)
    call.makeCall(uri, pj.CallOpParam(True))
    os.set_blocking(sys.stdin.fileno(), False)
    until, waiting = time.monotonic() + LONGEST_SECONDS, b""
    while not call.is_over and time.monotonic() < until:
        endpoint.libHandleEvents(10)
        with contextlib.suppress(BlockingIOError):
            waiting += os.read(sys.stdin.fileno(), 4096)
        *orders, waiting = waiting.split(b"\n")
        for order in orders:
            if order.startswith(b"play "):
                call.play(order[5:].decode())
            elif order == b"leave":
                call.hangup(pj.CallOpParam())
    # PJSIP aborts when anything of it is still held; the file is whole once the recorder is gone.
    call.recorder = None
    call.players.clear()
    del call, account
    gc.collect()
    endpoint.libDestroy()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
