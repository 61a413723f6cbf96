"""`call2me functions …`, in a process of its own: it imports livekit, and a stranger's code.

python -m pipelines.tools.command list|check|call FOLDER [NAME ARGUMENTS]
"""

import asyncio
import json
import os
import sys
import time
from pathlib import Path

from livekit.agents.llm import ToolError

from pipelines.tools import developer
from pipelines.tools.check_functions import complaints
from pipelines.tools.policy import Rails
from pipelines.tools.run_function import run


def main(what: str, folder: Path, name: str = "", arguments: str = "{}") -> int:
    """Do it; the exit code."""
    functions = developer.load(folder)
    if what == "list":
        for signature in developer.signatures(functions):
            parameters = ", ".join(signature.parameters.get("properties", {}))
            _say(
                f"{signature.name}({parameters})", *(f"    {line}" for line in _first(signature.description))
            )
        return 0
    if what == "check":
        found = complaints(functions)
        for sentence in found or [f"{len(functions.by_name)} functions, nothing to mend."]:
            _say(sentence)
        return 1 if found else 0
    if (tool := functions.by_name.get(name)) is None:
        _say(f"There is no function {name} in {folder}.", *functions.broken)
        return 1
    began = time.perf_counter()
    try:
        result = asyncio.run(run(tool, json.loads(arguments), rails=Rails(warn=lambda _, text: _say(text))))
    except ToolError as error:
        _say(f"Failed: {error}")
        return 1
    _say("" if result is None else str(result))
    print(f"({(time.perf_counter() - began) * 1000:.0f} ms)", file=sys.stderr)  # noqa: T201 - a command
    return 0


def _first(description: str) -> list[str]:
    return description.splitlines()[:1]


def _say(*sentences: str) -> None:
    for sentence in sentences:
        print(sentence)  # noqa: T201 - what a command is for


if __name__ == "__main__":
    code = main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:5])
    sys.stdout.flush()
    os._exit(code)  # threads that hang must not keep it
