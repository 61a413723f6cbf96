"""A models process of a test's own, and what it says put into samples."""

import asyncio
import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pipelines.local.client import ModelsClient
from tests.support.sounds import Sound, resample

ROOT = Path(__file__).resolve().parents[2]


class ModelsProcess:
    """`worker.models` as a process, with real models; started again after `kill`."""

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "run" / "m.sock"
        self.models = folder / "models"
        self._log = folder / "models.log"
        self.process = self._start()

    def _start(self) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "tests.support.models", str(self.socket), str(self.models)]
        with self._log.open("ab") as log:
            return subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)

    def kill(self) -> None:
        """kill -9, and be sure that it is gone."""
        self.process.kill()
        self.process.wait()

    def restart(self) -> None:
        """What a supervisor does."""
        self.process = self._start()

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=5)

    async def ready(self, timeout: float = 60.0) -> ModelsClient:
        """A client, once every model is loaded."""
        client = ModelsClient(self.socket)
        deadline = time.monotonic() + timeout
        while not (health := await client.health(timeout=timeout))["ready"]:
            assert time.monotonic() < deadline, health
            await asyncio.sleep(0.05)
        needed = ("transcribe", "synthesize", "embed")
        assert [health["models"][name]["state"] for name in needed] == ["ready"] * 3, health
        return client


@contextlib.contextmanager
def models_process(folder: Path) -> Iterator[ModelsProcess]:
    """One that is stopped at the end, whatever happened."""
    running = ModelsProcess(folder)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.kill()


async def spoken(client: ModelsClient, text: str, speed: float = 1.0) -> Sound:
    """hibari's voice, float32 at 16 kHz."""
    parts = [np.frombuffer(pcm, np.int16) async for _, pcm in client.synthesize(text, speed=speed)]
    return resample(np.concatenate(parts).astype(np.float32) / 32768, 24_000, 16_000)


async def client_memory(client: ModelsClient) -> int:
    """What the process weighs now, in bytes."""
    await client.health()
    # Counted at most each five seconds, and told by the next answer.
    await asyncio.sleep(5.5)
    await client.health()
    await asyncio.sleep(0.5)
    return int((await client.health())["memory_bytes"])


if __name__ == "__main__":
    from worker.models import ModelsOptions, serve_models

    serve_models(ModelsOptions(Path(sys.argv[1]), Path(sys.argv[2])))
