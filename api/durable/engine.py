"""The DBOS engine: launched on the loop, in a database of its own, under a slot of its own.

Workflows are module functions that get only what can be stored, so what they work with (database,
rooms) is laid down here at launch and fetched with `reach()`.
"""

import asyncio
import logging
import secrets
import sqlite3
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import Context
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dbos import DBOS, DBOSConfig, SetEnqueueOptions, SetWorkflowID

from api.db.engine import Database
from api.durable import slots
from api.outside.carrier import Carrier
from api.outside.mail import Mail
from api.outside.payments import Provider
from api.outside.phones import NoPhones, Phones
from api.outside.rooms import Rooms
from api.outside.storage import Storage
from api.settings import NO_LANGUAGE_MODEL, LanguageModel, Settings
from api.telephone_settings import Tolls
from pipelines.embedding_server import EmbeddingServer
from pipelines.outbound import Guard

_LOG = logging.getLogger(__name__)

APPLICATION_VERSION = "1"
"""Pinned: by default it is a hash of the code, and a new release would leave the old one's work lying."""

_FINISH_SECONDS = 3.0
_GAVE_UP = {"ERROR", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"}
_TRY = "/try-"
Workflow = Callable[..., Coroutine[Any, Any, Any]]


class NotLaunched(Exception):
    """Durable work was asked for in a process that launched no engine"""


@dataclass(frozen=True)
class Reach:
    """What durable work may touch."""

    database: Database
    rooms: Rooms
    storage: Storage
    """Of recordings."""
    knowledge: Storage
    guard: Guard
    mail: Mail
    language_model: LanguageModel = NO_LANGUAGE_MODEL
    prices: Path | None = None
    """Of providers, as the settings have it."""
    embeddings: EmbeddingServer | None = None
    payments: Mapping[str, Provider] = field(default_factory=dict)
    phones: Phones = field(default_factory=NoPhones)
    tolls: Tolls = field(default_factory=Tolls)
    carrier: Carrier | None = None
    """Who sells numbers; None where nobody does."""
    carrier_sip: tuple[str, str] = ("", "")
    """Its SIP server and the transport to it."""
    is_billing: bool = False
    contact_email: str = ""
    """Of whoever runs this server; empty: the first user's."""


@dataclass
class _Launched:
    reach: Reach
    slot: slots.Slot
    folder: Path
    running: int = 0
    boot: str = field(default_factory=lambda: secrets.token_hex(8))


_launched: _Launched | None = None  # DBOS itself is one for each process, so this is too


def launch(settings: Settings, reach: Reach) -> None:
    """Start the engine on the running loop, and with it whatever a dead process left under our slot.

    Blocks for some hundred milliseconds: call it while the application starts.
    """
    global _launched  # noqa: PLW0603
    if _launched is not None:
        raise RuntimeError("durable work was launched twice")
    asyncio.get_running_loop()  # DBOS would otherwise run workflows on a thread's loop
    slot = slots.take(settings.run)
    _launched = _Launched(reach, slot, settings.run)
    try:
        config: DBOSConfig = {
            "name": "call2me",
            "system_database_url": _database_url(settings),
            "executor_id": slot.executor_id,
            "application_version": APPLICATION_VERSION,
            "log_level": "WARNING",
            "sys_db_pool_size": 5,
            "max_executor_threads": 32,
        }
        DBOS(config=config)
        # Its console handler and its own format would stand beside our log lines.
        dbos_log = logging.getLogger("dbos")
        dbos_log.handlers.clear()
        dbos_log.propagate = True
        DBOS.launch()
    except BaseException:
        _launched = None
        slot.release()
        raise


async def close() -> None:
    """Stop the engine. Work under way gets three seconds; what is left goes on at the next start."""
    global _launched  # noqa: PLW0603
    if _launched is None:
        return
    deadline = asyncio.get_running_loop().time() + _FINISH_SECONDS
    while _launched.running and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1) as own:
        await loop.run_in_executor(own, DBOS.destroy)
    # DBOS made its own pool the loop's default and has just shut it down.
    loop.set_default_executor(ThreadPoolExecutor(thread_name_prefix="asyncio"))
    _launched.slot.release()
    _launched = None


def reach() -> Reach:
    """What a workflow's steps may touch."""
    if _launched is None:
        raise NotLaunched
    return _launched.reach


def holder() -> str:
    """A name for this run of this process: its slot, and what no other run of it has."""
    if _launched is None:
        raise NotLaunched
    return f"{_launched.slot.executor_id}/{_launched.boot}"


def is_gone(name: str) -> bool:
    """True for a `holder` of this machine that runs no more."""
    if _launched is None:
        return False
    executor_id, _, boot = name.partition("/")
    if executor_id == _launched.slot.executor_id:
        return boot != _launched.boot  # the slot is ours now
    return slots.is_abandoned(_launched.folder, executor_id)


@contextmanager
def at_work() -> Iterator[None]:
    """Around a workflow's body: a shutdown waits a moment for it."""
    if _launched is None:
        raise NotLaunched
    mine = _launched
    mine.running += 1
    try:
        yield
    finally:
        mine.running -= 1


async def start(workflow_id: str, workflow: Workflow, *arguments: Any) -> None:
    """Start a workflow under an id that is derived from its work: a second start does nothing."""
    if _launched is None:
        raise NotLaunched

    async def started() -> None:
        with SetWorkflowID(workflow_id):
            await DBOS.start_workflow_async(workflow, *arguments)

    await _outside_of_steps(started)


async def _outside_of_steps(start_it: Callable[[], Coroutine[Any, Any, None]]) -> None:
    # What a step's transaction caused is started once it is committed, and DBOS starts nothing inside a step.
    # Its notion of where it is stands in context variables: a task without ours is nowhere.
    await asyncio.get_running_loop().create_task(start_it(), context=Context())


async def open_queue(name: str, *, at_once: int) -> None:
    """Make a queue that this process works on, at most `at_once` workflows at a time."""
    await DBOS.register_queue_async(name, worker_concurrency=at_once)


async def enqueue(
    queue: str, workflow_id: str, workflow: Workflow, *arguments: Any, delay_seconds: float = 0.0
) -> None:
    """Have a workflow started when its turn in the queue comes, at the earliest after `delay_seconds`.

    A second time under the same id does nothing. What waits is in the database and survives everything.
    """
    if _launched is None:
        raise NotLaunched

    async def queued() -> None:
        with SetWorkflowID(workflow_id), SetEnqueueOptions(delay_seconds=delay_seconds or None):
            await DBOS.enqueue_workflow_async(queue, workflow, *arguments)

    await _outside_of_steps(queued)


async def enqueue_again(queue: str, workflow_id: str, workflow: Workflow, *arguments: Any) -> None:
    """Enqueue what should have had its effect by now. What still waits or works is left alone."""
    status = await DBOS.get_workflow_status_async(workflow_id)
    if status is not None and status.status in {"ERROR", "MAX_RECOVERY_ATTEMPTS_EXCEEDED", "SUCCESS"}:
        await DBOS.delete_workflow_async(workflow_id)
    await enqueue(queue, workflow_id, workflow, *arguments)


async def start_unless_done(
    workflow_id: str, workflow: Workflow, *arguments: Any, pause_seconds: float
) -> None:
    """Start what is to be done once and may be tried anew: one that gave up is begun again after a pause.

    What waits, works, or came to its end is left alone. Each try has an id of its own, counted upwards: of
    two processes that see the same failure the second starts nothing, and takes away nothing that runs.
    """
    found = await DBOS.list_workflows_async(
        workflow_id_prefix=workflow_id, load_input=False, load_output=False
    )
    tries = [one for one in found if one.workflow_id.partition(_TRY)[0] == workflow_id]
    young = (time.time() - pause_seconds) * 1000
    if any(one.status not in _GAVE_UP or (one.updated_at or 0) > young for one in tries):
        return
    await start(f"{workflow_id}{_TRY}{len(tries) + 1}" if tries else workflow_id, workflow, *arguments)


async def start_again(workflow_id: str, workflow: Workflow, *arguments: Any) -> None:
    """Start a workflow whose effect is missing although it should be there by now.

    One that gave up is forgotten and begun anew; one that stands still is resumed. Its steps may run
    a second time, which is why each has an effect with a unique key.
    """
    if _launched is None:
        raise NotLaunched
    status = await DBOS.get_workflow_status_async(workflow_id)
    if status is not None and status.status == "PENDING":
        await DBOS.resume_workflow_async(workflow_id)
        return
    if status is not None and status.status in {"ERROR", "MAX_RECOVERY_ATTEMPTS_EXCEEDED", "SUCCESS"}:
        await DBOS.delete_workflow_async(workflow_id)
    await start(workflow_id, workflow, *arguments)


async def adopt() -> int:
    """Resume what processes of this machine left behind when they died; returns how many workflows."""
    if _launched is None:
        raise NotLaunched
    pending = await DBOS.list_workflows_async(
        status="PENDING", load_input=False, load_output=False, limit=1000
    )
    left = [
        workflow.workflow_id
        for workflow in pending
        if workflow.executor_id
        and workflow.executor_id != _launched.slot.executor_id
        and slots.is_abandoned(_launched.folder, workflow.executor_id)
    ]
    if left:
        await DBOS.resume_workflows_async(left)
        _LOG.info("workflows of a lost process resumed", extra={"count": len(left)})
    return len(left)


def _database_url(settings: Settings) -> str:
    """A SQLite file of its own beside ours, in WAL; or, on PostgreSQL, a schema of its own."""
    scheme, _, rest = settings.database_url.partition("://")
    if scheme.startswith("postgresql"):
        return f"postgresql+psycopg://{rest}"
    path = settings.home / "durable.sqlite"
    connection = sqlite3.connect(path)
    try:
        connection.execute("PRAGMA journal_mode=WAL")  # kept in the file
    finally:
        connection.close()
    path.chmod(0o600)
    return f"sqlite:///{path}"
