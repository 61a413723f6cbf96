"""What is done about messages, put into queues: `sms-send-<id>-<try>`, `sms-answer-<id>-<try>`."""

import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from api.durable import engine

_LOG = logging.getLogger(__name__)

SENDING, SENDING_AT_ONCE = "texts", 8
ANSWERING, ANSWERING_AT_ONCE = "text answers", 8
WORK: dict[str, Callable[..., Coroutine[Any, Any, None]]] = {}
"""The workflows by their queues: they write messages themselves, so they stand above (`workflows`)."""


async def queue_send(sms_id: str, number: int, delay_seconds: float = 0.0) -> None:
    """Have a message sent. Never raises, since the sweeper asks again."""
    await _queued(
        lambda: engine.enqueue(
            SENDING, f"sms-send-{sms_id}-{number}", WORK[SENDING], sms_id, number, delay_seconds=delay_seconds
        )
    )


async def queue_answer(sms_id: str, number: int, delay_seconds: float = 0.0, after: str = "") -> None:
    """Have a message answered; the same. `after`: the one before it, whose turn it was at its first try."""
    name = f"sms-answer-{sms_id}-{number}" + (f"-{after}" if after else "")
    await _queued(
        lambda: engine.enqueue(ANSWERING, name, WORK[ANSWERING], sms_id, number, delay_seconds=delay_seconds)
    )


async def _queued(enqueue: Callable[[], Awaitable[None]]) -> None:
    try:
        await enqueue()
    except Exception as error:  # noqa: BLE001 - the message is committed; the sweeper queues what this did not
        _LOG.warning("text message not queued", extra={"error": type(error).__name__})
