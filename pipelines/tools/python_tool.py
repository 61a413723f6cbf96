"""A developer's function as a tool of one call: the same function, under our policy."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

from livekit.agents import RunContext
from livekit.agents.llm import RawFunctionTool, function_tool

from pipelines.function_config import RunsLike
from pipelines.tools.developer import Function
from pipelines.tools.policy import Rails, canonical
from pipelines.tools.stranger import in_thread, watched

_OURS = "call2me_context"


def as_tool(tool: Function, how: RunsLike, rails: Rails) -> Function:
    """The tool to give to an agent; engines see the developer's own name, words and types."""
    run = _under_policy(tool, how, rails)
    info = tool.info
    if isinstance(tool, RawFunctionTool):
        return function_tool(run, raw_schema=tool.info.raw_schema, flags=info.flags)
    return function_tool(
        run,
        name=info.name,
        description=tool.info.description,
        flags=info.flags,
        on_duplicate=info.on_duplicate,
        duplicate_scope=info.duplicate_scope,
    )


def _under_policy(tool: Function, how: RunsLike, rails: Rails) -> Callable[..., Any]:
    called = inspect.unwrap(tool)
    name = tool.id

    @functools.wraps(called)
    async def run(*args: Any, **kwargs: Any) -> Any:
        context: RunContext[Any] | None = kwargs.pop(_OURS, None)

        async def work(_key: str) -> Any:
            if not inspect.iscoroutinefunction(called):
                return await in_thread(functools.partial(called, *args, **kwargs))
            return await watched(called(*args, **kwargs), functools.partial(rails.blocked, name))

        # Without a session nobody could tell one call of a function from the next.
        sent = (
            canonical(context.function_call.arguments) if context is not None else canonical([args, kwargs])
        )
        return await rails.run(name, how, context, sent, work)

    # LiveKit hands the context to whoever asks for it; a developer's function need not, but we do.
    signature = inspect.signature(called)
    ours = inspect.Parameter(_OURS, inspect.Parameter.KEYWORD_ONLY, annotation=RunContext)
    parameters = list(signature.parameters.values())
    at = len(parameters) - sum(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters)
    run.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[*parameters[:at], ours, *parameters[at:]]
    )
    run.__annotations__ = {**called.__annotations__, _OURS: RunContext}
    return run
