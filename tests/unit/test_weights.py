"""Finding weights and knowing that they are the right bytes."""

import errno
import hashlib
import json
import os
import shutil
import time
from pathlib import Path

import pytest

from pipelines.local import weights


@pytest.fixture(scope="module")
def joined(tmp_path_factory: pytest.TempPathFactory) -> Path:
    models = tmp_path_factory.mktemp("models")
    seen: list[float] = []
    weights.whisper(models, progress=lambda _what, share: seen.append(share))
    assert seen[-1] == 1.0
    assert seen == sorted(seen)
    return models


def test_packaged_parts_become_a_folder_that_whisper_reads(joined: Path) -> None:
    folder = weights.whisper(joined)
    assert folder == joined / "whisper-base"
    assert sorted(path.name for path in folder.iterdir()) == sorted(weights.WHISPER_BASE)
    assert (folder / "model.bin").stat().st_size == 145_217_532


def test_nothing_but_the_folder_is_left_behind(joined: Path) -> None:
    assert sorted(path.name for path in joined.iterdir()) == ["checked.json", "whisper-base"]


def test_a_warm_start_hashes_nothing(joined: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights.whisper(joined)
    weights.hibari(joined)
    weights.minilm(joined)
    # The point is that the slow path is not taken at all, so taking it is made to fail.
    monkeypatch.setattr(weights.hashlib, "sha256", lambda: pytest.fail("hashed again"))
    started = time.monotonic()
    weights.whisper(joined)
    weights.hibari(joined)
    weights.minilm(joined)
    assert time.monotonic() - started < 0.1


def test_a_damaged_folder_is_made_again(joined: Path) -> None:
    model = joined / "whisper-base" / "model.bin"
    with model.open("r+b") as file:
        file.seek(1000)
        file.write(b"damage")
    folder = weights.whisper(joined)
    ledger = json.loads((joined / "checked.json").read_text())
    assert ledger[str(folder / "model.bin")]["sha256"] == weights.WHISPER_BASE["model.bin"]
    weights.check(joined, folder / "model.bin", weights.WHISPER_BASE["model.bin"])


def test_other_bytes_are_refused_in_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(b"something else")
    with pytest.raises(weights.WeightsWrong, match=r"is not the file that was tested .* --force-reinstall"):
        weights.check(tmp_path, file, weights.HIBARI_ONNX)


def test_a_configured_folder_is_taken_as_it_is(tmp_path: Path) -> None:
    for name in ("model.bin", "config.json"):
        (tmp_path / name).write_text("mine")
    assert weights.whisper(tmp_path / "models", str(tmp_path)) == tmp_path


def test_a_configured_folder_without_a_model_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(weights.WeightsMissing, match=r"has no model.bin and no config.json"):
        weights.whisper(tmp_path / "models", str(tmp_path))


@pytest.mark.parametrize("value", ["/no/such/folder", "base", "../models/mine"])
def test_a_configured_name_that_is_nothing_says_so(tmp_path: Path, value: str) -> None:
    with pytest.raises(weights.WeightsMissing, match="neither a folder nor a name on the hub"):
        weights.whisper(tmp_path, value)


def test_a_hub_that_cannot_be_reached_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(weights.WeightsMissing, match=r"could not be reached: pip install"):
        weights.whisper(tmp_path, "owner/some-whisper@main")


def test_the_documentation_names_the_bytes_that_are_trusted() -> None:
    root = Path(__file__).resolve().parents[2]
    page = (root / "docs" / "offline.md").read_text("utf-8")
    for sha256 in (weights.WHISPER_BASE["model.bin"], weights.HIBARI_ONNX, weights.MINILM_ONNX):
        assert sha256 in page
    vocabulary = hashlib.sha256((root / "kb" / "data" / "minilm-vocab.txt").read_bytes()).hexdigest()
    assert vocabulary in page
    assert vocabulary in (root / "NOTICE").read_text("utf-8")


def test_a_full_disk_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    # A disk cannot be filled in a test that others share; the error is what the kernel gives.
    monkeypatch.setattr(weights.os, "fsync", full)
    with pytest.raises(weights.WeightsMissing, match="The disk is full"):
        weights.whisper(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_two_that_join_at_once_both_get_the_folder(tmp_path: Path, joined: Path) -> None:
    target = tmp_path / "whisper-base"

    def quicker(_what: str, share: float) -> None:
        if share == 1.0 and not target.exists():
            shutil.copytree(joined / "whisper-base", target)

    assert weights.whisper(tmp_path, progress=quicker) == target
    assert weights.whisper(tmp_path) == target


def test_a_machine_that_cannot_have_e5_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # There is no such machine here, so this one pretends.
    monkeypatch.setattr(weights, "find_spec", lambda _name: None)
    monkeypatch.setattr(weights.platform, "machine", lambda: "arm64")
    with pytest.raises(weights.WeightsMissing, match="Linux on x86_64 alone"):
        weights.e5(tmp_path)
