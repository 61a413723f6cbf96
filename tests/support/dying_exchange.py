"""An exchange that is killed: it has one call, writes snapshots of it to its output, and waits for its end.

python -m tests.support.dying_exchange PORT URI PROXY [JOURNAL]     places a call
python -m tests.support.dying_exchange PORT                         takes one; one for "late" rings on
"""

import asyncio
import sys
from pathlib import Path

from tests.support.carrier import CREDENTIAL
from worker.exchange.sip import Admission, Answered, Confirmed, Engine, Listener

SDP = b"v=0\r\no=us 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 41000 RTP/AVP 0\r\n"


async def main(port: int, uri: str = "", proxy: str = "", journal: str = "") -> None:
    """Until it is killed."""
    admission = Admission(sources=("127.0.0.0/8",))
    listeners = [Listener(transport, "127.0.0.1", port) for transport in ("udp", "tcp")]
    async with Engine(listeners, admission=admission) as engine:
        if not uri:
            say("ready")
            dialog = await anext(aiter(engine.invitations()))
            assert dialog.invitation is not None
            say(dialog.snapshot())
            dialog.ring()
            if not dialog.invitation.uri.startswith("sip:late@"):
                dialog.answer(SDP, journal=lambda: say(dialog.snapshot()))
        else:
            caller = "sip:+15551234@127.0.0.1"
            dialog = engine.invite(
                uri,
                SDP,
                caller=caller,
                proxies=[proxy],
                credential=CREDENTIAL,
                journal=Path(journal) if journal else None,
            )
        async for event in dialog.events():
            if isinstance(event, Answered | Confirmed):
                say(dialog.snapshot())


def say(text: str) -> None:
    """At once."""
    print(text, flush=True)  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), *sys.argv[2:]))
