"""Fetching other weights from a hub, with progress and a pinned revision."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

from tests.support.hub import hub
from tests.support.models import ROOT

FETCH = """
import sys
from pathlib import Path
from pipelines.local import weights
print(weights.whisper(Path(sys.argv[1]), sys.argv[2], lambda what, share: print(f"{what} {share:.2f}")))
"""


async def fetch(models: Path, name: str, url: str) -> "subprocess.CompletedProcess[str]":
    # In a process of its own: the hub's library reads its address once, when it is imported.
    environ = {**os.environ, "HF_ENDPOINT": url, "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    command = [sys.executable, "-c", FETCH, str(models), name]
    return await asyncio.to_thread(
        subprocess.run,
        command,
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


async def test_weights_named_on_the_hub_are_fetched_once(tmp_path: Path) -> None:
    files = {
        "model.bin": b"weights" * 10_000,
        "config.json": b"{}",
        "vocabulary.txt": b"a\nb",
        "big.zip": b"no",
    }
    async with hub(files) as served:
        first = await fetch(tmp_path, "owner/whisper@v1", served.url)
    assert first.returncode == 0, first.stderr
    *progress, folder = first.stdout.splitlines()
    assert (Path(folder) / "model.bin").read_bytes() == files["model.bin"]
    assert not (Path(folder) / "big.zip").exists()
    assert Path(folder).is_relative_to(tmp_path / "hub")
    assert progress[0] == "fetching the weights of owner/whisper 0.00"
    assert progress[-1] == "fetching the weights of owner/whisper 1.00"
    assert any("/revision/v1" in path for path in served.asked)
    again = await fetch(tmp_path, "owner/whisper@v1", "http://127.0.0.1:9")
    assert again.returncode == 0, again.stderr
    assert again.stdout.splitlines()[-1] == folder


async def test_a_hub_that_has_no_such_model_is_said_in_a_sentence(tmp_path: Path) -> None:
    async with hub({}) as served:
        failed = await fetch(tmp_path, "owner/whisper@v1", served.url + "/nowhere")
    assert failed.returncode != 0
    assert "WeightsMissing: Whisper's weights are not on this machine" in failed.stderr
