"""A real livekit-server of our own, on loopback, with the configuration that we ship."""

import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs

from api.settings import Settings
from api.up import livekit_config

_START_SECONDS = 20


class LiveKitServer:
    """One server that can be stopped and started again on the same port."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        folder = self._settings.run
        with (folder / "livekit-test.log").open("ab") as log:
            self._process = subprocess.Popen(
                [binary(), "--config", livekit_config.write(self._settings)],
                env={"PATH": os.environ["PATH"], **livekit_config.keys(self._settings)},
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(
                    f"livekit-server did not start:\n{(folder / 'livekit-test.log').read_text()}"
                )
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop it; nothing listens on its port afterwards."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self._settings.livekit.port}/", timeout=1
            ) as reply:
                return bool(reply.status == 200)
        except OSError:
            return False


@contextmanager
def running_livekit(settings: Settings) -> Iterator[LiveKitServer]:
    """Serve until the block ends, on the port and with the keys of these settings."""
    server = LiveKitServer(settings)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def binary() -> str:
    """Where livekit-server is. Fails where it is not installed: nothing here may be skipped."""
    homes = [os.environ.get("CALL2ME_HOME", ""), platformdirs.user_data_dir("call2me")]
    places = [
        os.environ.get("CALL2ME_LIVEKIT_SERVER", ""),
        shutil.which("livekit-server") or "",
        *(str(Path(home) / "bin" / "livekit-server") for home in homes if home),
    ]
    for place in places:
        if place and Path(place).is_file():
            return place
    raise RuntimeError("livekit-server is not installed; `call2me livekit install` gets it")
