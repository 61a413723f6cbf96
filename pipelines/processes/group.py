"""Several processes under one supervisor."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from pipelines.processes import place
from pipelines.processes.life import LifePipe
from pipelines.processes.running import ProcessSpec
from pipelines.processes.supervised import Backoff, Supervised


class Group:
    """Several processes under one supervisor, stopped in the reverse of the order they were started in."""

    def __init__(
        self,
        *,
        backoff: Backoff | None = None,
        on_line: Callable[[Supervised, str], None] | None = None,
        on_exit: Callable[[Supervised, int], None] | None = None,
        life: Path | None = None,
    ) -> None:
        """`on_line` gets every line of output, `on_exit` every end, wanted or not; neither may block.

        `life` is where processes with a place look for a successor of this one, should it die.
        """
        self.processes: dict[str, Supervised] = {}
        self._backoff = backoff or Backoff()
        self._on_line = on_line
        self._on_exit = on_exit
        self._life = LifePipe()
        self._named_life = LifePipe(life) if life is not None and place.IS_POSSIBLE else None

    def start(self, spec: ProcessSpec, *, before: str | None = None) -> Supervised:
        """Start a process and keep it alive; returns at once. `before` has it stopped after that one."""
        if spec.name in self.processes:
            raise ValueError(f"{spec.name} is already in the group")
        life = self._named_life if self._named_life is not None and spec.outlives else self._life
        supervised = Supervised(
            spec, life, backoff=self._backoff, on_line=self._on_line, on_exit=self._on_exit
        )
        later = list(self.processes)[list(self.processes).index(before) :] if before is not None else []
        self.processes[spec.name] = supervised
        for name in later:
            self.processes[name] = self.processes.pop(name)
        return supervised

    async def stop(self) -> None:
        """Stop all, one after another, the last started first; at worst the sum of their `stop_seconds`."""
        self._part()
        # A process that waits for its restart must not come up again while others are being stopped.
        for supervised in self.processes.values():
            supervised.give_up()
        for supervised in reversed(self.processes.values()):
            await supervised.stop()
        self._life.close()
        if self._named_life is not None:
            self._named_life.close()

    def kill(self) -> None:
        """SIGKILL everything at once; may be called while `stop` is under way, which then returns soon."""
        self._part()
        for supervised in self.processes.values():
            supervised.kill()

    def _part(self) -> None:
        if self._named_life is not None:
            self._named_life.part()

    async def _leave(self) -> None:
        """Whoever started this one will start it again: those that can wait for that go on."""
        for name, supervised in list(self.processes.items()):
            if supervised.spec.outlives:
                await supervised.leave()
                del self.processes[name]
        self._named_life = None  # its name stays, and its writing end closes with this process

    async def __aenter__(self) -> "Group":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if isinstance(error, Exception) and self._named_life is not None:
                await self._leave()
            await self.stop()
        except asyncio.CancelledError:
            self.kill()
            raise
