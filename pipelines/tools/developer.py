"""Find and load developers' functions: a folder of plain LiveKit `@function_tool` modules, and packages.

A package that is installed beside us brings functions by an entry point of the group
`call2me.functions`: a function, or a module of them. Of two with one name the folder's is kept.
"""

import contextlib
import hashlib
import importlib
import json
import logging
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from livekit.agents.llm import FunctionTool, RawFunctionTool
from livekit.agents.llm.utils import build_legacy_openai_schema

from pipelines.contract.websocket import FunctionSignature
from pipelines.tools import kept_code

logger = logging.getLogger(__name__)

Function = FunctionTool[..., Any] | RawFunctionTool[..., Any]

GROUP = "call2me.functions"


@dataclass(frozen=True)
class Functions:
    """What there is: functions by name, and a sentence for each module that would not load."""

    by_name: dict[str, Function] = field(default_factory=dict)
    broken: tuple[str, ...] = ()
    state: str = ""
    """Differs whenever a file of the folder does."""


def load(folder: Path | None, kept: Path | None = None) -> Functions:
    """Import every module of `folder` (no `_` or `.` in front) and take its functions, in order of name.

    A module that fails is named in `broken`; the others load all the same, and of itself the functions
    that it had when the whole folder last loaded (`kept`, see `keep`). Modules may import one another
    relatively: the folder is a package of its own.
    """
    found = _Found()
    state = ""
    if folder is not None and folder.is_dir():
        folder, state = folder.resolve(), _state(folder)
        package = _as_package(folder, state)
        for path in sorted(folder.glob("*.py")):
            if path.name.startswith(("_", ".")):
                continue
            try:
                with _nothing_compiled_is_left():
                    module = importlib.import_module(f"{package}.{path.stem}")
            except (Exception, SystemExit) as error:  # noqa: BLE001 - it is a stranger's code
                before = kept_code.load(folder, kept, path.stem) if kept is not None else None
                found.is_broken(path.name, error, is_as_before=before is not None)
                if before is None:
                    continue
                module = before
            found.add(path.name, _functions_of(module))
    for entry in entry_points(group=GROUP):
        try:
            loaded = entry.load()
        except (Exception, SystemExit) as error:  # noqa: BLE001 - so is this
            found.is_broken(entry.value, error)
            continue
        tools = [loaded] if isinstance(loaded, FunctionTool | RawFunctionTool) else _functions_of(loaded)
        found.add(entry.value, tools)
    return Functions(found.by_name, tuple(found.broken), state)


@contextlib.contextmanager
def _nothing_compiled_is_left() -> Iterator[None]:
    # Python takes a compiled file for current when second and size are the same: "80" became "90".
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before


class _Found:
    def __init__(self) -> None:
        self.by_name: dict[str, Function] = {}
        self.broken: list[str] = []

    def add(self, where: str, tools: list[Function]) -> None:
        for tool in tools:
            if tool.id in self.by_name:
                self.broken.append(f"{where} defines {tool.id} again; the first one is kept")
            else:
                self.by_name[tool.id] = tool

    def is_broken(self, where: str, error: BaseException, *, is_as_before: bool = False) -> None:
        logger.warning(
            "a functions module did not load", extra={"file": where, "error": type(error).__name__}
        )
        sentence = f"{where} did not load: {type(error).__name__}: {error}"[:300]
        self.broken.append(f"{sentence}; its functions are as they were before" if is_as_before else sentence)


def keep(folder: Path, kept: Path, functions: Functions) -> None:
    """Remember the folder's code, where all of it loaded."""
    if not functions.broken and functions.state:
        with contextlib.suppress(OSError):
            kept_code.keep(folder, kept, functions.state)


def refreshed(functions: Functions, folder: Path | None, kept: Path | None = None) -> Functions:
    """The same functions, or those that are in the folder now when a file was changed since."""
    state = _state(folder) if folder is not None and folder.is_dir() else ""
    return functions if state == functions.state else load(folder, kept)


def signatures(functions: Functions) -> tuple[FunctionSignature, ...]:
    """Name, description and JSON Schema of each function, for the api to show."""
    return tuple(_signature(tool) for tool in functions.by_name.values())


def _signature(tool: Function) -> FunctionSignature:
    if isinstance(tool, RawFunctionTool):
        schema = tool.info.raw_schema
    else:
        schema = build_legacy_openai_schema(tool, internally_tagged=True)
    return FunctionSignature(
        name=schema["name"],
        description=(schema.get("description") or "").strip(),
        parameters=schema.get("parameters") or {"type": "object", "properties": {}},
    )


def _functions_of(module: ModuleType) -> list[Function]:
    found: list[Function] = [
        value for value in vars(module).values() if isinstance(value, FunctionTool | RawFunctionTool)
    ]
    # One that a sibling imported is not defined there.
    return [tool for tool in found if getattr(tool, "__module__", module.__name__) == module.__name__]


def _state(folder: Path) -> str:
    files: list[str] = []
    for path in sorted(folder.rglob("*.py")):
        # Not there any more, or a link to nothing: some editors mark a file that they edit with one.
        with contextlib.suppress(OSError):
            stat = path.stat()
            files.append(f"{path.relative_to(folder)} {stat.st_size} {stat.st_mtime_ns}")
    listed = "\n".join(files)
    return hashlib.sha256(f"{folder}\n{listed}".encode()).hexdigest()[:12]


def _as_package(folder: Path, state: str) -> str:
    # Another name for each state: a module that was changed is imported again, not found as it was.
    name = f"call2me_functions_{state}"
    if name not in sys.modules:
        package = ModuleType(name, "Developers' functions")
        package.__path__ = [str(folder)]
        sys.modules[name] = package
    return name


def _read(folder: Path | None, kept: Path | None) -> dict[str, Any]:
    loaded = load(folder, kept)
    if folder is not None and kept is not None:
        keep(folder, kept, loaded)
    return {
        "functions": [signature.model_dump() for signature in signatures(loaded)],
        "broken": loaded.broken,
    }


if __name__ == "__main__":
    # The supervisor reads this: it must know the signatures, but never pay for importing livekit.
    paths = [Path(argument) for argument in sys.argv[1:3]]
    listed = _read(*paths, *([None] * (2 - len(paths))))
    sys.stdout.write("\n" + json.dumps(listed))
