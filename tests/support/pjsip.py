"""A real telephone to tests: what somebody does at it, and what is heard there."""

import asyncio
import contextlib
import json
import sys
import tempfile
import wave
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.support.speech import understood
from tests.support.stack import ROOT

RATE = 8000
CODECS = ("PCMU", "PCMA", "G722")
LOUD = 500
_HEADER_BYTES = 44

Pcm = NDArray[np.int16]


class Pjsip:
    """One process of `tests.support.pjsip_phone`."""

    def __init__(self, folder: Path, process: asyncio.subprocess.Process, rate: int = RATE) -> None:
        self.folder, self._process, self.rate = folder, process, rate
        self.seen: list[dict[str, Any]] = []
        self._arrived = asyncio.Event()
        self._sounds = 0

    # ── what somebody does ───────────────────────────────────────────────────────────────────────
    def do(self, action: str, call: int = 0, value: str = "") -> None:
        """`dial`, `answer`, `hold`, `resume`, `keys`, `hush`, `hang_up`."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": action, "call": call, "value": value}).encode() + b"\n")

    def say(self, pcm: Pcm, call: int = 0) -> float:
        """int16 mono at the telephone's rate; how many seconds it lasts."""
        self._sounds += 1
        self.do("play", call, written(self.folder / f"say-{self._sounds}.wav", pcm, self.rate))
        return len(pcm) / self.rate

    @property
    def pid(self) -> int:
        """Of its process."""
        return self._process.pid

    # ── what is seen ─────────────────────────────────────────────────────────────────────────────
    def all(self, name: str, call: int | None = None) -> list[Any]:
        """Everything that was told under a name, of one call or of all."""
        return [one[name] for one in self.seen if name in one and call in (None, one.get("call"))]

    async def until(self, true: Callable[[], Any], seconds: float = 15.0) -> Any:
        """Wait for what it tells to make this true."""
        async with asyncio.timeout(seconds):
            while not (found := true()):
                self._arrived.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._arrived.wait(), 0.05)
        return found

    async def talks(self, call: int = 0, seconds: float = 15.0) -> None:
        """The call is answered, and sound runs."""
        await self.until(lambda: "CONFIRMED" in self.all("state", call) and self.all("sounds", call), seconds)

    # ── what is heard ────────────────────────────────────────────────────────────────────────────
    def heard(self, call: int = 0) -> Pcm:
        """What was recorded so far, a quarter of a second behind."""
        path = self.folder / f"{call}.wav"
        data = path.read_bytes()[_HEADER_BYTES:] if path.exists() else b""
        return np.frombuffer(data[: len(data) // 2 * 2], np.int16)

    async def hears(self, call: int = 0, since: int = 0, seconds: float = 20.0, quiet: float = 1.0) -> str:
        """Words that were said from a place of the recording on, once it is quiet for a while."""
        await self.listens(call, since, seconds, quiet)
        return self.words(call, since)

    async def listens(self, call: int = 0, since: int = 0, seconds: float = 20.0, quiet: float = 1.0) -> None:
        """Until something was said from a place of the recording on, and it is quiet for a while."""

        def is_said() -> bool:
            sound = self.heard(call)[since:]
            loud = np.flatnonzero(np.abs(sound.astype(np.int32)) > LOUD)
            return bool(len(loud)) and len(sound) - loud[-1] > quiet * RATE

        await self.until(is_said, seconds)

    def words(self, call: int = 0, since: int = 0) -> str:
        """What is understood of the recording, from a place on."""
        return understood(self.heard(call)[since:].repeat(16_000 // self.rate), 16_000)


def written(path: Path, pcm: Pcm, rate: int = RATE) -> str:
    """A file with this in it."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(pcm.tobytes())
    return str(path)


def silent(seconds: float) -> Pcm:
    """Nothing, for that long."""
    return np.zeros(int(seconds * RATE), np.int16)


def longest_silence(sound: Pcm) -> float:
    """Seconds between one sound and the next, at most."""
    loud = np.flatnonzero(np.abs(sound.astype(np.int32)) > LOUD)
    return float(np.diff(loud).max() / RATE) if len(loud) > 1 else len(sound) / RATE


@contextlib.asynccontextmanager
async def pjsip(
    lines: Mapping[str, Mapping[str, Any]],
    proxy: str = "",
    *,
    codecs: Sequence[str] = CODECS,
    rate: int = RATE,
    mixes: bool = False,
) -> AsyncIterator[Pjsip]:
    """A telephone with these numbers; registered at the proxy, where there is one. It speaks nothing but
    `codecs`; `rate` is that of its microphone and of its recordings,
    which have what it says too where it `mixes`."""
    with tempfile.TemporaryDirectory(prefix="phone-") as folder:
        told = {
            "folder": folder,
            "proxy": proxy,
            "lines": lines,
            "codecs": codecs,
            "rate": rate,
            "mixes": mixes,
        }
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.support.pjsip_phone", json.dumps(told)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=ROOT,
        )
        phone = Pjsip(Path(folder), process, rate)
        reading = asyncio.create_task(_read(phone, process))
        try:
            await phone.until(lambda: phone.all("port"), 20)
            if proxy:
                await phone.until(lambda: phone.all("registered").count(200) >= len(lines), 20)
            yield phone
        finally:
            assert process.stdin is not None
            process.stdin.close()
            try:
                code = await asyncio.wait_for(process.wait(), 20)
            except TimeoutError:
                process.kill()
                raise
            finally:
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)
            assert code == 0, "PJSIP did not end well"


async def _read(phone: Pjsip, process: asyncio.subprocess.Process) -> None:
    assert process.stdout is not None
    async for line in process.stdout:
        # PJSIP says what it likes before it is told to be quiet.
        if line.startswith(b"{"):
            phone.seen.append(json.loads(line))
            phone._arrived.set()
