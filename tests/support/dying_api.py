"""The api, killed by itself at one line: `python -m tests.support.dying_api POINT`.

SIGKILL: no handler runs, nothing is flushed, as when the machine's memory ran out.
"""

import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession

from api.calls import analysis, workflows
from api.db import engine as database
from api.durable import engine as durable
from api.http import idempotency, transactions
from api.serve import serve
from api.settings import Settings
from api.wallet import charges

Function = Callable[..., Awaitable[Any]]


def die(*_: Any) -> None:
    """Be gone at once."""
    os.kill(os.getpid(), signal.SIGKILL)


def before(function: Function) -> Function:
    """Die where the function would have begun."""

    async def dying(*arguments: Any, **named: Any) -> Any:
        die()

    return dying


def after(function: Function) -> Function:
    """Die once the function did its work, or failed at it, and before anybody learns of it."""

    async def dying(*arguments: Any, **named: Any) -> Any:
        try:
            await function(*arguments, **named)
        finally:
            die()

    return dying


def at_commit_after(function: Function) -> Function:
    """Die once the transaction that this function wrote in is committed: DBOS has not noted the step."""
    return _at_its_commit(database, function, after)


def at_request_commit(how: Callable[[Function], Function]) -> Callable[[Function], Function]:
    """Die before or after the commit of the request that this function is called in."""
    return lambda function: _at_its_commit(transactions, function, how)


def _at_its_commit(place: Any, function: Function, how: Callable[[Function], Function]) -> Function:
    """Die at the commit of the function's own session, its first argument.

    A sweep that commits in the same moment must not be taken for it.
    """

    async def remembering(mine: AsyncSession, *arguments: Any, **named: Any) -> Any:
        result = await function(mine, *arguments, **named)
        usual, deadly = place.commit, how(place.commit)

        async def commit(session: AsyncSession) -> None:
            await (deadly if session is mine else usual)(session)

        place.commit = commit
        return result

    return remembering


POINTS: dict[str, tuple[Any, str, Callable[[Function], Function]]] = {
    "events committed, settlement not started": (workflows, "start_settlement", before),
    "settlement being started": (durable, "start", before),
    "settlement started": (durable, "start", after),
    "charge committed, step not noted": (charges, "charge", at_commit_after),
    "analysis written, step not noted": (analysis, "_keep", after),
}
"""Around settling and in the midst of it; `dying_settlement` dies after every await within."""


ANY_REQUEST: dict[str, tuple[Any, str, Callable[[Function], Function]]] = {
    "answer committed, not sent": (idempotency, "_keep", at_request_commit(after)),
    "claimed, nothing committed": (idempotency, "_keep", at_request_commit(before)),
}
"""Of the first request with an `Idempotency-Key`."""


def main(point: str) -> None:
    """Serve until the point is reached."""
    place, name, how = {**POINTS, **ANY_REQUEST}[point]
    setattr(place, name, how(getattr(place, name)))
    serve(Settings.load())


if __name__ == "__main__":
    main(sys.argv[1])
