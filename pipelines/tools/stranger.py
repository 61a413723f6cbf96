"""Run a stranger's code so that it hurts nobody else: in a thread, or watched step by step on the loop."""

import asyncio
import contextvars
import functools
import threading
import time
import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any

BLOCKED_SECONDS = 0.2
"""A loop that stands still for this long is heard: sound stops for every call in the process."""
MAX_THREADS = 16
"""Of one process. Those that hang stay for ever: a thread cannot be ended."""

_threads = threading.BoundedSemaphore(MAX_THREADS)


class LeavesTheProcess(Exception):
    """It tried to end the whole process"""


class NoThreadLeft(Exception):
    """Too many functions hang in threads of their own"""


@types.coroutine
def watched(
    coroutine: Coroutine[Any, Any, Any], blocked: Callable[[float], None]
) -> Generator[Any, Any, Any]:
    """Await it; `blocked` hears of each step that held the loop too long, with its seconds.

    Each step is timed by itself, so the blame falls on the right function, and no thread must watch.
    """
    step: Callable[[], Any] = functools.partial(coroutine.send, None)
    while True:
        began = time.perf_counter()
        try:
            awaited = step()
        except StopIteration as done:
            return done.value
        except (SystemExit, KeyboardInterrupt) as error:
            raise LeavesTheProcess from error
        finally:
            if (held := time.perf_counter() - began) >= BLOCKED_SECONDS:
                blocked(held)
        try:
            sent = yield awaited
        except BaseException as error:  # noqa: BLE001 - a cancellation too is thrown into it
            step = functools.partial(coroutine.throw, error)
        else:
            step = functools.partial(coroutine.send, sent)


async def in_thread(call: Callable[[], Any]) -> Any:
    """What `call` returns, from a thread of its own that never keeps the process from ending.

    The pool of `asyncio.to_thread` has few threads, and name lookups need them too.
    """
    if not _threads.acquire(blocking=False):
        raise NoThreadLeft
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Any] = loop.create_future()
    context = contextvars.copy_context()

    def settle(result: Any, error: BaseException | None) -> None:
        if done.done():
            return  # nobody waits any more
        if error is None:
            done.set_result(result)
        else:
            done.set_exception(error)

    def work() -> None:
        result: Any = None
        failed: BaseException | None = None
        try:
            result = context.run(call)
        except (SystemExit, KeyboardInterrupt, StopIteration) as error:  # a future takes none of them
            failed = LeavesTheProcess(repr(error))
        except BaseException as error:  # noqa: BLE001 - whatever it is, whoever waits is told
            failed = error
        finally:
            _threads.release()
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, result, failed)

    threading.Thread(target=work, name="function", daemon=True).start()
    return await done
