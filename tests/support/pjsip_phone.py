"""A real telephone, PJSIP, in a process of its own: it answers, holds, resumes, and hangs up.

    python -m tests.support.pjsip_phone

What it sees is written as JSON lines; the first is its port.
"""

import gc
import json
import time
from typing import Any

import pjsua2 as pj

HOLD, RESUME, LEAVE = 0.7, 1.4, 2.1


def say(**seen: object) -> None:
    """One line."""
    print(json.dumps(seen), flush=True)  # noqa: T201


class Call(pj.Call):  # type: ignore[misc, unused-ignore]
    """One that is answered after a moment."""

    def __init__(self, account: Any, call_id: int) -> None:
        super().__init__(account, call_id)
        self.began = time.monotonic()
        self.step = 0

    def onCallState(self, parameter: object) -> None:  # noqa: N802
        """PJSIP's: it is in another state."""
        info = self.getInfo()
        say(state=info.stateText, code=info.lastStatusCode)

    def go_on(self) -> None:
        """The next of its acts, when it is time."""
        passed = time.monotonic() - self.began
        if self.step == 0 and passed > 0.3:
            self.step = 1
            answer = pj.CallOpParam()
            answer.statusCode = 200
            self.answer(answer)
        elif self.step == 1 and passed > HOLD:
            self.step = 2
            self.setHold(pj.CallOpParam())
        elif self.step == 2 and passed > RESUME:
            self.step = 3
            resume = pj.CallOpParam(True)
            resume.opt.flag = pj.PJSUA_CALL_UNHOLD
            self.reinvite(resume)
        elif self.step == 3 and passed > LEAVE:
            self.step = 4
            self.hangup(pj.CallOpParam())


class Account(pj.Account):  # type: ignore[misc, unused-ignore]
    """Takes every call."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Call] = []

    def onIncomingCall(self, parameter: Any) -> None:  # noqa: N802
        """PJSIP's: somebody calls."""
        say(invite=parameter.rdata.wholeMsg)
        call = Call(self, parameter.callId)
        self.calls.append(call)
        ringing = pj.CallOpParam()
        ringing.statusCode = 180
        call.answer(ringing)


def serve(endpoint: Any, account: Account, until: float, calls: int) -> None:
    """Plays every call's part until so many are over."""
    over = 0
    while time.monotonic() < until and over < calls:
        endpoint.libHandleEvents(10)
        for call in account.calls:
            if call.isActive():
                call.go_on()
        over = sum(call.step == 4 and not call.isActive() for call in account.calls)


def main(seconds: float = 20.0, calls: int = 2) -> None:
    """Until so many calls are over."""
    endpoint = pj.Endpoint()
    endpoint.libCreate()
    settings = pj.EpConfig()
    settings.uaConfig.threadCnt = 0
    settings.uaConfig.mainThreadOnly = True
    settings.logConfig.level = settings.logConfig.consoleLevel = 0
    settings.medConfig.clockRate = 8000
    settings.medConfig.noVad = True
    endpoint.libInit(settings)
    transport = pj.TransportConfig()
    transport.boundAddress = transport.publicAddress = "127.0.0.1"
    udp = endpoint.transportCreate(pj.PJSIP_TRANSPORT_UDP, transport)
    port = int(endpoint.transportGetInfo(udp).localName.rsplit(":", 1)[1])
    transport.port = port
    endpoint.transportCreate(pj.PJSIP_TRANSPORT_TCP, transport)
    endpoint.libStart()
    endpoint.audDevManager().setNullDev()
    account = Account()
    config = pj.AccountConfig()
    config.idUri = f"sip:phone@127.0.0.1:{port}"
    config.mediaConfig.transportConfig.boundAddress = "127.0.0.1"
    config.mediaConfig.transportConfig.port = 20000 + port % 20000
    account.create(config)
    say(port=port)
    serve(endpoint, account, time.monotonic() + seconds, calls)
    # PJSIP aborts when anything of it is still held.
    account.calls.clear()
    del account
    gc.collect()
    endpoint.libDestroy()


if __name__ == "__main__":
    main()
