"""Which functions developers have put into their folder, for the api to show.

Reading them means importing livekit, which costs five seconds and 140 MB, and running a stranger's code:
a process of its own does both, and its answer is kept until a file of the folder changes.
"""

import asyncio
import contextlib
import functools
import hashlib
import json
import logging
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from pipelines.contract.websocket import FunctionSignature

logger = logging.getLogger(__name__)

READ_SECONDS = 60.0
MAX_FUNCTIONS = 500
_SIGNATURES: TypeAdapter[tuple[FunctionSignature, ...]] = TypeAdapter(tuple[FunctionSignature, ...])


def kept_code(run: Path) -> Path:
    """Where the folder's code is kept as it last loaded, under the data folder's `run`."""
    return run / "functions.kept"


def state_of(folder: Path) -> str:
    """Another string whenever a module of the folder was added, changed or taken away."""
    files = []
    for path in sorted(folder.rglob("*.py")) if folder.is_dir() else ():
        # Not there any more, or a link to nothing: some editors mark a file that they edit with one.
        with contextlib.suppress(OSError):
            stat = path.stat()
            files.append(f"{path.relative_to(folder)}\0{stat.st_size}\0{stat.st_mtime_ns}")
    return hashlib.sha256("\n".join([sys.version, *_installed(), *files]).encode()).hexdigest()


@functools.cache
def _installed() -> tuple[str, ...]:
    """Packages that bring functions; another one counts from the worker's next start."""
    return tuple(
        f"{entry.name}={entry.value} {entry.dist.version if entry.dist else ''}"
        for entry in entry_points(group="call2me.functions")
    )


def kept(cache: Path, state: str) -> tuple[FunctionSignature, ...] | None:
    """What was read when the folder was as it is now; None when that is not known."""
    try:
        found: Any = json.loads(cache.read_text("utf-8"))
        return _SIGNATURES.validate_python(found["functions"]) if found["state"] == state else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


async def read(folder: Path, cache: Path, state: str) -> tuple[FunctionSignature, ...]:
    """Read the folder in a process of its own, and keep the answer. Empty when it cannot be read."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "pipelines.tools.developer",
        str(folder),
        str(kept_code(cache.parent)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(READ_SECONDS):
            output, _ = await process.communicate()
        # A developer's module may print while it is imported; ours is the last line.
        answer = json.loads(output.splitlines()[-1])
        found = _SIGNATURES.validate_python(answer["functions"])[:MAX_FUNCTIONS]
    except (TimeoutError, ValueError, KeyError, TypeError, IndexError, ValidationError) as error:
        logger.warning("the functions folder could not be read", extra={"error": type(error).__name__})
        return ()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    for sentence in answer.get("broken", ()):
        logger.warning("a functions module is broken", extra={"why": str(sentence)[:300]})
    await asyncio.to_thread(_keep, cache, state, found)
    return found


def _keep(cache: Path, state: str, found: tuple[FunctionSignature, ...]) -> None:
    draft = cache.with_suffix(".new")
    try:
        text = json.dumps({"state": state, "functions": [one.model_dump() for one in found]})
        draft.write_text(text, "utf-8")
        draft.replace(cache)
    except OSError as error:
        logger.warning("what the functions folder holds could not be kept", extra={"reason": error.strerror})
