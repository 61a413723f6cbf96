"""An S3 server that somebody else wrote (versitygw), on loopback, on a folder: `.ci/buckets` gets it."""

import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from tests.support.ports import free_port

KEY, SECRET = "AKIATEST", "a-secret-of-the-tests"


@dataclass
class BucketServer:
    """One server with one bucket, which can be stopped and started again."""

    folder: Path
    port: int
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def settings(self) -> dict[str, str]:
        """What an api is told of it."""
        return {
            "CALL2ME_STORAGE": f"s3://voice/ours?region=eu-central-1&endpoint=http://127.0.0.1:{self.port}",
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
        }

    def kept(self, kind: str) -> set[str]:
        """The names of the objects of a kind."""
        folder = self.folder / "voice" / "ours" / kind
        return {path.name for path in folder.iterdir()} if folder.exists() else set()

    def unfinished(self) -> list[Path]:
        """Parts of uploads that nobody finished."""
        return [path for path in (self.folder / "voice" / ".sgwtmp").rglob("*") if path.is_file()]

    def start(self) -> None:
        """Serve, and wait until it answers."""
        self.process = subprocess.Popen(
            [
                _binary(),
                "--port",
                f"127.0.0.1:{self.port}",
                "--region",
                "eu-central-1",
                "--quiet",
                "posix",
                self.folder,
            ],
            env={"ROOT_ACCESS_KEY": KEY, "ROOT_SECRET_KEY": SECRET, "PATH": os.environ["PATH"]},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 20
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=2)
            except urllib.error.HTTPError:
                return  # it wants a signature, so it is there
            except OSError:
                assert time.monotonic() < deadline, "versitygw did not start"
                assert self.process.poll() is None, "versitygw did not start"
                time.sleep(0.05)

    def stop(self) -> None:
        """Stop it; nothing listens on its port afterwards."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(10)
            self.process = None


@contextmanager
def bucket_server(folder: Path) -> Iterator[BucketServer]:
    """A server with an empty bucket, until the block ends."""
    (folder / "voice").mkdir(parents=True)
    server = BucketServer(folder, free_port())
    server.start()
    try:
        yield server
    finally:
        server.stop()


def _binary() -> str:
    """Where versitygw is. Fails where it is not installed: nothing here may be skipped."""
    places = [
        os.environ.get("CALL2ME_VERSITYGW", ""),
        shutil.which("versitygw") or "",
        str(platformdirs.user_cache_path("call2me") / "bin" / "versitygw"),
    ]
    for place in places:
        if place and Path(place).is_file():
            return place
    raise RuntimeError("versitygw is not installed; `.ci/buckets .venv/bin/python` gets it")
