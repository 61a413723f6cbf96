"""Find and load developers' functions: a folder of plain LiveKit `@function_tool` modules."""

import asyncio
import contextlib
import functools
import hashlib
import importlib
import inspect
import json
import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from livekit.agents.llm import (
    FunctionTool,
    RawFunctionTool,
    ToolError,
    function_tool,
)
from livekit.agents.llm.utils import build_legacy_openai_schema

from pipelines.contract import FunctionSignature

logger = logging.getLogger(__name__)

Function = FunctionTool[..., Any] | RawFunctionTool[..., Any]

DEADLINE_SECONDS = 20.0
"""A caller who waits longer than this in silence has hung up."""


@dataclass(frozen=True)
class Functions:
    """What a folder holds: functions by name, and a sentence for each module that would not load."""

    by_name: dict[str, Function] = field(default_factory=dict)
    broken: tuple[str, ...] = ()
    state: str = ""
    """Differs whenever a file of the folder does."""


def load(folder: Path | None, deadline_seconds: float = DEADLINE_SECONDS) -> Functions:
    """Import every module of `folder` (no `_` or `.` in front) and take its functions, in order of name.

    A module that fails is named in `broken`; the others load all the same. Modules may import one
    another relatively: the folder is a package of its own.
    """
    if folder is None or not folder.is_dir():
        return Functions()
    state = _state(folder)
    package = _as_package(folder.resolve(), state)
    by_name: dict[str, Function] = {}
    broken: list[str] = []
    for path in sorted(folder.glob("*.py")):
        if path.name.startswith(("_", ".")):
            continue
        try:
            module = importlib.import_module(f"{package}.{path.stem}")
        except (Exception, SystemExit) as error:  # noqa: BLE001 - it is a stranger's code
            logger.warning(
                "a functions module did not load", extra={"file": path.name, "error": repr(error)[:300]}
            )
            broken.append(f"{path.name} did not load: {type(error).__name__}: {error}"[:300])
            continue
        for tool in _functions_of(module):
            if tool.id in by_name:
                broken.append(f"{path.name} defines {tool.id} again; the first one is kept")
            else:
                by_name[tool.id] = guarded(tool, deadline_seconds)
    return Functions(by_name, tuple(broken), state)


def refreshed(functions: Functions, folder: Path | None) -> Functions:
    """The same functions, or those that are in the folder now when a file was changed since."""
    state = _state(folder) if folder is not None and folder.is_dir() else ""
    return functions if state == functions.state else load(folder)


def guarded(tool: Function, deadline_seconds: float) -> Function:
    """The same function with a deadline; one that is not a coroutine runs in a thread.

    A thread cannot be ended: past the deadline its result is dropped, and the agent is told so.
    """
    run = _within(tool, deadline_seconds)
    if isinstance(tool, RawFunctionTool):
        return function_tool(run, raw_schema=tool.info.raw_schema, flags=tool.info.flags)
    return function_tool(
        run,
        name=tool.info.name,
        description=tool.info.description,
        flags=tool.info.flags,
        on_duplicate=tool.info.on_duplicate,
        duplicate_scope=tool.info.duplicate_scope,
    )


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


def _within(tool: Function, deadline_seconds: float) -> Callable[..., Any]:
    called = inspect.unwrap(tool)

    @functools.wraps(called)
    async def run(*args: Any, **kwargs: Any) -> Any:
        # A function that times out inside itself must not look as if it had used up its time.
        try:
            async with asyncio.timeout(deadline_seconds) as deadline:
                if inspect.iscoroutinefunction(called):
                    return await called(*args, **kwargs)
                return await asyncio.to_thread(called, *args, **kwargs)
        except TimeoutError:
            if not deadline.expired():
                raise
            raise ToolError(f"{tool.id} took longer than {deadline_seconds:g} seconds") from None

    return run


def _functions_of(module: ModuleType) -> list[Function]:
    found = [value for value in vars(module).values() if isinstance(value, FunctionTool | RawFunctionTool)]
    # One that a sibling imported is not defined there.
    return [tool for tool in found if getattr(tool, "__module__", module.__name__) == module.__name__]


def _state(folder: Path) -> str:
    files: list[str] = []
    for path in sorted(folder.rglob("*.py")):
        # Not there any more, or a link to nothing: some editors mark a file that they edit with one.
        with contextlib.suppress(OSError):
            stat = path.stat()
            files.append(f"{path.name} {stat.st_size} {stat.st_mtime_ns}")
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


if __name__ == "__main__":
    # The supervisor reads this: it must know the signatures, but never pay for importing livekit.
    loaded = load(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
    listed = {
        "functions": [signature.model_dump() for signature in signatures(loaded)],
        "broken": loaded.broken,
    }
    sys.stdout.write(json.dumps(listed))
