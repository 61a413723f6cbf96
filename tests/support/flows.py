"""Between the engine and a carrier over TCP or TLS, a router with NAT: it cuts or forgets connections."""

import asyncio
import contextlib

OUTSIDE = "127.0.0.9"
"""Where the carrier sees whoever comes through."""
_READ = 65_536


class FlowRelay:
    """Takes connections at `port` and has them go on to the carrier's."""

    def __init__(self, carrier: int) -> None:
        self.port = 0
        self.opened = 0
        """Connections so far."""
        self._carrier = carrier
        self._open: list[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = []
        self._frozen: set[asyncio.StreamWriter] = set()
        self._pumps: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Take connections from now on."""
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def close(self) -> None:
        """Take no more."""
        self._server.close()
        self.cut()
        for task in self._pumps:
            task.cancel()

    def cut(self) -> None:
        """Whatever is open ends, on both sides."""
        for pair in self._open:
            for writer in pair:
                writer.transport.abort()
        self._open.clear()

    def freeze(self) -> None:
        """What is open now carries nothing any more, and neither side is told."""
        self._frozen |= {writer for pair in self._open for writer in pair}

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened += 1
        try:
            theirs, there = await asyncio.open_connection("127.0.0.1", self._carrier, local_addr=(OUTSIDE, 0))
        except OSError:
            writer.transport.abort()
            return
        self._open.append((writer, there))
        for source, sink in ((reader, there), (theirs, writer)):
            task = asyncio.create_task(self._pump(source, sink))
            self._pumps.add(task)
            task.add_done_callback(self._pumps.discard)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await source.read(_READ):
                if sink not in self._frozen:
                    sink.write(data)
                    await sink.drain()
        sink.close()
