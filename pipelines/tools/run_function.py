"""Run one developer's function as a call would, in this process, and print what came of it as JSON.

python -m pipelines.tools.run_function FOLDER KEPT < {"name": …, "arguments": {…}, "timeout_ms": …}
"""

import asyncio
import contextlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from livekit.agents import AgentSession, RunContext
from livekit.agents.llm import FunctionCall, ToolError, ToolResult
from livekit.agents.llm.utils import prepare_function_arguments
from livekit.agents.voice.speech_handle import SpeechHandle

from pipelines.function_config import RunsLike
from pipelines.tools import developer
from pipelines.tools.developer import Function, Functions
from pipelines.tools.policy import Rails
from pipelines.tools.python_tool import as_tool


async def run(
    tool: Function, arguments: dict[str, Any], how: RunsLike | None = None, rails: Rails | None = None
) -> Any:
    """What the function returns on a call, as the engine reads it. Raises `ToolError` as it would there.

    There is a session, but nobody in it: what the function says or asks for is not heard.
    """
    held = as_tool(tool, how or RunsLike(), rails or Rails())
    call = FunctionCall(call_id="try", name=tool.id, arguments=json.dumps(arguments))
    async with AgentSession[Any]() as session:
        context = RunContext[Any](session=session, speech_handle=SpeechHandle.create(), function_call=call)
        args, kwargs = prepare_function_arguments(fnc=held, json_arguments=arguments, call_ctx=context)
        result = await held(*args, **kwargs)
    return result.output if isinstance(result, ToolResult) else result


async def _tried(functions: Functions, order: dict[str, Any]) -> dict[str, Any]:
    warnings: list[str] = []
    rails = Rails(warn=lambda _, message: warnings.append(message))
    if (tool := functions.by_name.get(order["name"])) is None:
        return {"ok": False, "error": " ".join([f"There is no function {order['name']}.", *functions.broken])}
    began = time.perf_counter()
    answer: dict[str, Any]
    try:
        result = await run(tool, order["arguments"], RunsLike(timeout_ms=order["timeout_ms"]), rails)
        answer = {"ok": True, "result": "" if result is None else str(result)}
    except ToolError as error:
        answer = {"ok": False, "error": str(error)}
    elapsed_ms = (time.perf_counter() - began) * 1000
    return {**answer, "elapsed_ms": elapsed_ms, "warnings": warnings}


if __name__ == "__main__":
    asked = json.loads(sys.stdin.read())
    folder, kept = (Path(argument) for argument in sys.argv[1:3])
    # What a function prints is for a person, on stderr: stdout is the answer.
    with contextlib.redirect_stdout(sys.stderr):
        told = asyncio.run(_tried(developer.load(folder, kept), asked))
    sys.stdout.write(json.dumps(told))
    sys.stdout.flush()
    os._exit(0)  # threads that hang must not keep it
