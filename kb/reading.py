"""Reading in a process of its own, which the system holds to its bounds: `python -m kb.reading`.

The child prints a JSON line for each step, `{"stage": "reading", "done": 3, "total": 20}`, and writes the
document, or `{"error": "Scanned", "message": "..."}`, to the file it was given.
"""

import argparse
import asyncio
import json
import os
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kb.documents import Document, Limits
from kb.errors import BY_NAME, Damaged, TooLarge, TooMuchMemory, TooSlow, Unreadable

OnProgress = Callable[[str, int, int], None]
"""Told of a stage, how much of it is done, and of how much."""

_REPORTS_APART_SECONDS = 0.1
_RESULT_BYTES = 80_000_000
_OUT_OF_MEMORY = (-signal.SIGKILL, -signal.SIGABRT, -signal.SIGTRAP, -signal.SIGILL)
"""How native libraries die when they are refused memory."""


async def read_apart(
    data: Path,
    name: str,
    declared_type: str = "",
    limits: Limits = Limits(),  # noqa: B008 - frozen
    on_progress: OnProgress = lambda _stage, _done, _total: None,
) -> Document:
    """What `kb.readers.read` makes of a file, in a child that is killed when it exceeds `limits`.

    Raises an `errors.Unreadable`. Cancelling this kills the child.
    """
    with tempfile.TemporaryDirectory(prefix="call2me-reading-") as folder:
        result = Path(folder) / "document.json"
        asked = json.dumps({"name": name, "declared_type": declared_type, "limits": asdict(limits)})
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "kb.reading", str(data), str(result), asked,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            # Threads that a reader never uses would reserve address space, of which the child has little.
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"},
        )  # fmt: skip
        try:
            async with asyncio.timeout(limits.seconds + 5):
                await _follow(child, on_progress)
                code = await child.wait()
        except TimeoutError:
            raise TooSlow from None
        finally:
            if child.returncode is None:
                with suppress(ProcessLookupError):
                    child.kill()
                await child.wait()
        return await asyncio.to_thread(_result, result, code)


async def _follow(child: asyncio.subprocess.Process, on_progress: OnProgress) -> None:
    assert child.stdout is not None  # noqa: S101 - it was asked for
    async for line in child.stdout:
        with suppress(ValueError, KeyError, TypeError):
            step = json.loads(line)
            on_progress(str(step["stage"]), int(step["done"]), int(step["total"]))


def _result(path: Path, code: int) -> Document:
    if code in (-signal.SIGXCPU, -signal.SIGALRM):
        raise TooSlow
    try:
        if path.stat().st_size > _RESULT_BYTES:
            raise TooLarge
        text = path.read_bytes()
        held = json.loads(text)
        if "error" in held:
            raise BY_NAME[held["error"]](held["message"])
        return Document.from_json(text)
    except (OSError, ValueError, KeyError) as error:
        # No result: the system ended the child, for its memory (SIGKILL, SIGABRT) or on a broken file.
        raise (TooMuchMemory if code in _OUT_OF_MEMORY else Damaged) from error


def _bounded(limits: Limits) -> None:
    for what, most in (
        (resource.RLIMIT_AS, limits.memory_bytes),
        (resource.RLIMIT_CPU, max(1, int(limits.seconds))),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, _RESULT_BYTES),
    ):
        _, hard = resource.getrlimit(what)
        resource.setrlimit(what, (most, hard if what == resource.RLIMIT_CPU else most))
    # Wall clock too: waiting costs no CPU. The default of SIGALRM ends the process.
    signal.alarm(max(1, int(limits.seconds) + 1))


class _Reports:
    """Steps on stdout, not more of them than anybody can watch."""

    def __init__(self) -> None:
        self._last = 0.0

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if done < total and now - self._last < _REPORTS_APART_SECONDS:
            return
        self._last = now
        sys.stdout.write(json.dumps({"stage": "reading", "done": done, "total": total}) + "\n")
        sys.stdout.flush()


def main() -> None:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(prog="kb.reading", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("result", type=Path)
    parser.add_argument("asked", help='JSON: {"name": "...", "declared_type": "...", "limits": {...}}')
    arguments = parser.parse_args()
    asked: dict[str, Any] = json.loads(arguments.asked)
    limits = Limits(**asked.get("limits", {}))
    _bounded(limits)
    written = _written(arguments.data, asked, limits)
    unfinished = arguments.result.with_suffix(".part")
    unfinished.write_text(written, encoding="utf-8", errors="replace")
    unfinished.replace(arguments.result)


def _written(data: Path, asked: dict[str, Any], limits: Limits) -> str:
    from kb.readers import read  # noqa: PLC0415 - after the bounds: importing is reading too

    reports = _Reports()
    try:
        reports(0, 1)
        return read(data, asked["name"], asked.get("declared_type", ""), limits, reports).to_json()
    except Unreadable as error:
        return json.dumps({"error": type(error).__name__, "message": str(error)})
    except (MemoryError, RecursionError):
        return json.dumps({"error": "TooMuchMemory", "message": str(TooMuchMemory())})
    except Exception as error:  # noqa: BLE001 - whatever a library says of a hostile file, it is the file
        sys.stderr.write(f"{type(error).__name__}\n")
        return json.dumps({"error": "Damaged", "message": str(Damaged())})


if __name__ == "__main__":
    main()
