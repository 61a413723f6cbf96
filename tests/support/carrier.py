"""A carrier for tests: kamailio between us and the far end, behind a relay that can lose packets."""

import asyncio
import random
import shutil
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

from tests.support.far_end import FarEnd
from tests.support.flows import FlowRelay
from tests.support.ports import free_port
from tests.support.sip_messages import Message
from worker.exchange.sip import Credential

CREDENTIAL = Credential("alice", "secret")
DID = "+905331112233"
"""A number whose calls go to who is registered with that credential."""
FORK = "+14155550177"
"""A number that rings at the far end and at the telephone that is registered with it."""
_CONFIGURATION = Path(__file__).with_name("carrier.cfg")


class Relay(asyncio.DatagramProtocol):
    """Between the engine and the carrier, over UDP. Whoever is not the carrier is the engine."""

    def __init__(self, carrier: int) -> None:
        self.loss = 0.0
        """The share of packets that are lost, either way."""
        self.lose_next = 0
        """So many of the next packets towards the carrier are lost."""
        self.lost = 0
        self.invited: dict[str, str] = {}
        """Whom the engine has called: numbers by Call-ID, so however often an INVITE is repeated."""
        self._carrier = ("127.0.0.1", carrier)
        self._engine = self._carrier
        self._random = random.Random(4)  # noqa: S311 - the same packets are lost in every run

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        from_carrier = address == self._carrier
        if not from_carrier:
            self._engine = address
            if data.startswith(b"INVITE "):
                invite = Message(data)
                self.invited.setdefault(invite.get("call-id"), invite.user)
        if self.lose_next and not from_carrier:
            self.lose_next -= 1
            self.lost += 1
        elif self._random.random() < self.loss:
            self.lost += 1
        else:
            self._transport.sendto(data, self._engine if from_carrier else self._carrier)


class Carrier:
    """Calls go to `proxy` (or `tcp_proxy`), and from there to `far`."""

    def __init__(
        self, far: FarEnd, relay: Relay, port: int, relayed: int, inner: int, flows: dict[str, FlowRelay]
    ) -> None:
        self.far = far
        self.relay = relay
        self.port = port
        self.proxy_port = relayed
        self.inner = inner
        """Where telephones register."""
        self.proxy = f"sip:127.0.0.1:{relayed}"
        self.tcp_proxy = f"sip:127.0.0.1:{port};transport=tcp"
        self.flows = flows
        """By "tcp" and "tls", where asked for: the ways to it that can be cut."""

    def uri(self, user: str) -> str:
        """Somebody behind the carrier."""
        return f"sip:{user}@127.0.0.1:{self.port}"


def kamailio() -> str:
    """The program; Debian installs it where only root looks."""
    return shutil.which("kamailio") or "/usr/sbin/kamailio"


@asynccontextmanager
async def carrier(secured: tuple[Path, Path] | None = None) -> AsyncIterator[Carrier]:
    """Kamailio, the relay and the far end, on ports of their own.

    With a certificate and its key it takes TLS, too, and whoever registers over TCP or TLS is behind NAT."""
    far = FarEnd()
    await far.start()
    try:
        for _ in range(3):
            # A port that was free a moment ago may be taken a moment later.
            with tempfile.TemporaryDirectory(prefix="carrier-") as folder:
                async with _relayed(Path(folder), far, secured) as running:
                    if running is not None:
                        yield running
                        return
        raise RuntimeError("kamailio does not start")
    finally:
        far.close()


@asynccontextmanager
async def _relayed(
    folder: Path, far: FarEnd, secured: tuple[Path, Path] | None
) -> AsyncIterator[Carrier | None]:
    port, inner = free_port(socket.SOCK_DGRAM), free_port(socket.SOCK_DGRAM)
    relay = Relay(port)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: relay, local_addr=("127.0.0.1", 0))
    relayed = transport.get_extra_info("sockname")[1]
    more: dict[str, object] = {}
    flows = {}
    if secured is not None:
        secure = free_port()
        flows = {"tcp": FlowRelay(port), "tls": FlowRelay(secure)}
        for flow in flows.values():
            await flow.open()
        more = {"TCP_RELAY": flows["tcp"].port, "TLS_RELAY": flows["tls"].port, "SECURE": secure}
        more |= {"CERTIFICATE": secured[0], "PRIVATE_KEY": secured[1]}
    process = _begin(folder, more, port=port, relayed=relayed, inner=inner, far=far.port)
    try:
        up = await _is_up(port, process)
        yield Carrier(far, relay, port, relayed, inner, flows) if up else None
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait, 10)
        transport.close()
        for flow in flows.values():
            flow.close()


def _begin(
    folder: Path, more: dict[str, object], *, port: int, relayed: int, inner: int, far: int
) -> "subprocess.Popen[bytes]":
    text = _CONFIGURATION.read_text()
    names = {
        **more,  # first: some contain another
        "PORT": port,
        "RELAY": relayed,
        "INNER": inner,
        "FAR": far,
        "DID": DID,
        "FORK": FORK,
        "MODULES": _modules(),
    }
    for name, value in names.items():
        text = text.replace(name, str(value))
    file = folder / "carrier.cfg"
    file.write_text(text)
    program = [kamailio(), "-f", str(file), "-DD", "-E", "-m", "32", "-M", "8", "-Y", str(folder)]
    program += ["-A", "FLOWS"] if more else []
    return subprocess.Popen(program, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _modules() -> str:
    return next(str(folder) for folder in Path("/usr/lib").glob("*/kamailio/modules")) + "/"


async def _is_up(port: int, process: "subprocess.Popen[bytes]") -> bool:
    for _ in range(100):
        if process.poll() is not None:
            return False
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.1)
        else:
            writer.close()
            await writer.wait_closed()
            return True
    return False
