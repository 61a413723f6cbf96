"""The functions folder as it last loaded without an error, for when somebody saves half a thought.

Modules come from the kept copy, but believe that they are where they always were: what they keep beside
their file stays there.
"""

import contextlib
import importlib
import shutil
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType

MAX_BYTES = 8 * 1024 * 1024
PREFIX = "call2me_kept_"


def keep(folder: Path, kept: Path, state: str) -> None:
    """Copy the folder's Python files; the copy is whole or it is the one before."""
    if (kept / "STATE").is_file() and (kept / "STATE").read_text() == state:
        return
    draft, old = kept.with_name(f"{kept.name}.new"), kept.with_name(f"{kept.name}.old")
    for leftover in (draft, old):
        shutil.rmtree(leftover, ignore_errors=True)
    files = [path for path in folder.rglob("*.py") if path.is_file()]
    if sum(path.stat().st_size for path in files) > MAX_BYTES:
        return
    draft.mkdir(mode=0o700)
    for path in files:
        target = draft / path.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    (draft / "STATE").write_text(state)
    if kept.exists():
        kept.rename(old)
    draft.rename(kept)
    shutil.rmtree(old, ignore_errors=True)


def load(folder: Path, kept: Path, name: str) -> ModuleType | None:
    """A module as it was kept; None where there is none, or where it does not load either."""
    try:
        state = (kept / "STATE").read_text()
    except OSError:
        return None
    if not (kept / f"{name}.py").is_file():
        return None
    package = f"{PREFIX}{state}"
    if package not in sys.modules:
        made = ModuleType(package, "Developers' functions, as they last loaded")
        made.__path__ = [str(folder)]
        sys.modules[package] = made
        sys.meta_path.insert(0, _Finder(package, folder, kept))
    with contextlib.suppress(Exception, SystemExit):
        return importlib.import_module(f"{package}.{name}")
    return None


class _Finder(MetaPathFinder):
    def __init__(self, package: str, folder: Path, kept: Path) -> None:
        self._package, self._folder, self._kept = package, folder, kept

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith(f"{self._package}."):
            return None
        inside = Path(*fullname.split(".")[1:])
        for relative, is_package in ((inside.with_suffix(".py"), False), (inside / "__init__.py", True)):
            if (self._kept / relative).is_file():
                there = self._folder / relative
                return spec_from_file_location(
                    fullname,
                    there,
                    loader=_Loader(fullname, str(there), self._kept / relative),
                    submodule_search_locations=[str(there.parent)] if is_package else None,
                )
        return None


class _Loader(SourceFileLoader):
    def __init__(self, fullname: str, path: str, kept: Path) -> None:
        super().__init__(fullname, path)
        self._kept_at = kept

    def get_data(self, path: str) -> bytes:
        return self._kept_at.read_bytes()

    def path_stats(self, path: str) -> dict[str, float]:
        raise OSError  # no compiled file: the one beside the source is of other code
