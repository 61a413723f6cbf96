"""A real telephone, PJSIP, in a process of its own, told by JSON lines what to do.

    python -m tests.support.pjsip_phone '{"folder": "…", "proxy": "…", "lines": {"+14155550123": {}}}'

`lines` are its numbers, registered at the proxy where there is one, and what each does when somebody calls:
`rings` for seconds, then `answers` with that code, `plays` a file, `then` acts. What it sees is written as
JSON lines; the first is its port. `tests.support.pjsip` starts it.
"""

import contextlib
import gc
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import pjsua2 as pj

SECRET = "secret"


def say(**seen: object) -> None:
    """One line."""
    print(json.dumps(seen), flush=True)  # noqa: T201


class Call(pj.Call):  # type: ignore[misc, unused-ignore]
    """One that it takes or makes; `number` says which recording is whose."""

    def __init__(self, phone: "Phone", account: Any, number: int, call_id: int = -1) -> None:
        super().__init__(account, call_id)
        self.phone, self.number = phone, number
        self.policy: dict[str, Any] = {}
        self.due: list[tuple[float, str]] = []
        self.recorder: Any = None
        self.players: list[Any] = []

    def onCallState(self, parameter: object) -> None:  # noqa: N802
        """PJSIP's: it is in another state."""
        info = self.getInfo()
        say(call=self.number, state=info.stateText, code=info.lastStatusCode, at=time.time())
        if info.state == pj.PJSIP_INV_STATE_CONFIRMED and self.policy.get("plays"):
            self.play(self.policy["plays"])
        if info.state == pj.PJSIP_INV_STATE_DISCONNECTED:
            self.recorder = None
            self.players.clear()

    def onCallMediaState(self, parameter: object) -> None:  # noqa: N802
        """PJSIP's: there is sound, or none any more."""
        info = self.getInfo()  # what is in it lives as long as it does
        audio = [one.status for one in info.media if one.type == pj.PJMEDIA_TYPE_AUDIO]
        is_active = pj.PJSUA_CALL_MEDIA_ACTIVE in audio
        if is_active or pj.PJSUA_CALL_MEDIA_REMOTE_HOLD in audio:  # whoever is held may hear music
            if self.recorder is None:
                self.recorder = pj.AudioMediaRecorder()
                self.recorder.createRecorder(str(self.phone.folder / f"{self.number}.wav"))
            self.getAudioMedia(-1).startTransmit(self.recorder)
        say(call=self.number, sounds=is_active, at=time.time())

    def onDtmfDigit(self, parameter: Any) -> None:  # noqa: N802
        """PJSIP's: somebody pressed a key."""
        say(call=self.number, key=parameter.digit)

    def onCallTransferRequest(self, parameter: Any) -> None:  # noqa: N802
        """PJSIP's: it is asked to call somebody else; it does, unless its policy refuses."""
        say(call=self.number, referred=parameter.dstUri)
        parameter.statusCode = self.policy.get("referred", 202)
        if parameter.statusCode == 202:
            onward = Call(self.phone, self.phone.accounts[0], len(self.phone.calls))
            self.phone.calls.append(onward)
            parameter.newCall = onward

    def play(self, file: str) -> None:
        """Say what is in a file."""
        player = pj.AudioMediaPlayer()
        player.createPlayer(file, pj.PJMEDIA_FILE_NO_LOOP)
        player.startTransmit(self.getAudioMedia(-1))
        if self.phone.mixes and self.recorder is not None:
            player.startTransmit(self.recorder)
        self.players.append(player)

    def hush(self) -> None:
        """Say no more of it."""
        for player in self.players:
            player.stopTransmit(self.getAudioMedia(-1))
        self.players.clear()

    def act(self) -> None:
        """What is due."""
        while self.due and self.due[0][0] <= time.monotonic():
            _, action = self.due.pop(0)
            if self.isActive():
                self.do(action)

    def do(self, action: str, value: str = "") -> None:
        """One thing that somebody does at a telephone."""
        parameter = pj.CallOpParam()
        match action:
            case "answer":
                parameter.statusCode = int(self.policy.get("answers", 200))
                self.answer(parameter)
            case "hold":
                self.setHold(parameter)
            case "resume":
                resume = pj.CallOpParam(True)
                resume.opt.flag = pj.PJSUA_CALL_UNHOLD
                self.reinvite(resume)
            case "keys":
                self.dialDtmf(value)
            case "play":
                self.play(value)
            case "hush":
                self.hush()
            case "hang_up":
                self.hangup(parameter)


class Account(pj.Account):  # type: ignore[misc, unused-ignore]
    """One of its numbers."""

    def __init__(self, phone: "Phone", policy: dict[str, Any]) -> None:
        super().__init__()
        self.phone, self.policy = phone, policy

    def onRegState(self, parameter: Any) -> None:  # noqa: N802
        """PJSIP's: the carrier knows it, or not."""
        say(registered=parameter.code, uri=self.getInfo().uri)

    def onIncomingCall(self, parameter: Any) -> None:  # noqa: N802
        """PJSIP's: somebody calls."""
        call = Call(self.phone, self, len(self.phone.calls), parameter.callId)
        call.policy = self.policy
        self.phone.calls.append(call)
        say(call=call.number, invite=parameter.rdata.wholeMsg, to=self.getInfo().uri, at=time.time())
        ringing = pj.CallOpParam()
        ringing.statusCode = 180
        call.answer(ringing)
        at = time.monotonic() + float(self.policy.get("rings", 0.3))
        call.due = [(at, "answer")]
        for seconds, action in self.policy.get("then", []):
            call.due.append((at + seconds, action))


class Phone:
    """All of it."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.folder = Path(told["folder"])
        self.proxy: str = told.get("proxy", "")
        self.codecs: tuple[str, ...] = tuple(told.get("codecs", ("PCMU", "PCMA", "G722")))
        self.rate: int = told.get("rate", 8000)
        self.mixes: bool = told.get("mixes", False)
        self.calls: list[Call] = []
        self.endpoint = self._started()
        self.port = self._port
        self.accounts = [self._account(user, policy) for user, policy in told["lines"].items()]

    def _started(self) -> Any:
        endpoint = pj.Endpoint()
        endpoint.libCreate()
        settings = pj.EpConfig()
        settings.uaConfig.threadCnt = 0
        settings.uaConfig.mainThreadOnly = True
        settings.logConfig.level = settings.logConfig.consoleLevel = 0
        settings.medConfig.clockRate = settings.medConfig.sndClockRate = self.rate
        settings.medConfig.noVad = True
        settings.medConfig.ecTailLen = 0
        endpoint.libInit(settings)
        self._port = next(port for _ in range(5) if (port := _listens(endpoint)))
        endpoint.libStart()
        endpoint.audDevManager().setNullDev()
        for codec in endpoint.codecEnum2():
            if not codec.codecId.startswith(self.codecs):
                endpoint.codecSetPriority(codec.codecId, 0)
        return endpoint

    def _account(self, user: str, policy: dict[str, Any]) -> Account:
        account, config = Account(self, policy), pj.AccountConfig()
        config.idUri = f"sip:{user}@{self.proxy or f'127.0.0.1:{self.port}'}"
        config.mediaConfig.transportConfig.boundAddress = "127.0.0.1"
        config.mediaConfig.transportConfig.port = 20000 + self.port % 20000
        if self.proxy:
            config.regConfig.registrarUri = f"sip:{self.proxy}"
            config.regConfig.timeoutSec = 8
            config.sipConfig.proxies.append(f"sip:{self.proxy};lr")
            config.sipConfig.authCreds.append(pj.AuthCredInfo("digest", "*", user, 0, SECRET))
        account.create(config)
        return account

    def serve(self) -> None:
        """Do what is asked for until nothing is said any more."""
        os.set_blocking(0, False)
        unread = b""
        while True:
            self.endpoint.libHandleEvents(10)
            for call in self.calls:
                call.act()
            with contextlib.suppress(BlockingIOError):
                while data := os.read(0, 65_536):
                    unread += data
                return
            *lines, unread = unread.split(b"\n")
            for line in lines:
                self._asked(json.loads(line))

    def _asked(self, told: dict[str, Any]) -> None:
        if told["do"] == "dial":
            call = Call(self, self.accounts[0], len(self.calls))
            call.policy = told.get("policy", {})
            self.calls.append(call)
            say(call=call.number, dialled=told["value"])
            call.makeCall(told["value"], pj.CallOpParam(True))
            return
        try:
            self.calls[told["call"]].do(told["do"], told.get("value", ""))
        except pj.Error as error:
            say(call=told["call"], refused=error.reason)

    def close(self) -> None:
        """PJSIP aborts when anything of it is still held."""
        self.endpoint.hangupAllCalls()
        for _ in range(20):
            self.endpoint.libHandleEvents(10)
        self.calls.clear()
        self.accounts.clear()
        gc.collect()
        self.endpoint.libDestroy()


def _listens(endpoint: Any) -> int:
    """On one port over UDP and TCP; 0: one that is free for UDP is not for TCP."""
    transport = pj.TransportConfig()
    transport.boundAddress = transport.publicAddress = "127.0.0.1"
    udp = endpoint.transportCreate(pj.PJSIP_TRANSPORT_UDP, transport)
    transport.port = int(endpoint.transportGetInfo(udp).localName.rsplit(":", 1)[1])
    try:
        endpoint.transportCreate(pj.PJSIP_TRANSPORT_TCP, transport)
    except pj.Error:
        endpoint.transportClose(udp)
        return 0
    return int(transport.port)


def main() -> None:
    """Until standard input ends."""
    phone = Phone(json.loads(sys.argv[1]))
    say(port=phone.port)
    phone.serve()
    phone.close()


if __name__ == "__main__":
    main()
