"""What the worker logs: constant words and where something broke, never what an exception quotes."""

import json
import logging
import pickle
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import AsyncMock

import pytest
from livekit.agents.ipc.log_queue import LogQueueHandler
from livekit.agents.utils.aio.duplex_unix import _Duplex

from worker import logs
from worker.settings import WorkerSettings
from worker.text import Talks

SECRET = "my card number is 4111"
KEYS = {"CALL2ME_INTERNAL_KEY": "i" * 32, "LIVEKIT_API_KEY": "key", "LIVEKIT_API_SECRET": "s" * 32}


@pytest.fixture(autouse=True)
def undisturbed() -> Iterator[None]:
    root = logging.getLogger()
    kept = (root.handlers[:], root.level, sys.excepthook, threading.excepthook, sys.unraisablehook)
    yield
    root.handlers[:], level, sys.excepthook, threading.excepthook, sys.unraisablehook = kept
    root.setLevel(level)


def broken(name: str, message: str, *args: object, **extra: object) -> logging.LogRecord:
    try:
        raise ValueError(SECRET)
    except ValueError:
        return logging.getLogger(name).makeRecord(
            name, logging.ERROR, __file__, 1, message, args, sys.exc_info(), extra=extra
        )


def test_an_exception_is_its_type_and_its_places() -> None:
    line = json.loads(logs.JsonLines().format(broken("worker.call", "a call failed", call_id="c1")))
    assert SECRET not in json.dumps(line)
    assert (line["message"], line["error"], line["call_id"]) == ("a call failed", "builtins.ValueError", "c1")
    assert any("in broken" in place for place in line["stack"])


def test_a_record_of_a_calls_process_crosses_livekits_queue_without_the_words() -> None:
    here, there = socket.socketpair()
    handler = LogQueueHandler(_Duplex.open(here))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    logs.hush()
    received = _Duplex.open(there)
    try:
        for name in ("livekit.agents", "worker.call"):
            handler.emit(broken(name, "Error in _tts_inference_task", lk_pii=1))
            sent = received.recv_bytes()
            assert SECRET.encode() not in sent
            record: logging.LogRecord = pickle.loads(sent)  # noqa: S301 - as LiveKit reads it
            line = json.loads(logs.JsonLines().format(record))
            assert (line["message"], line["error"]) == ("Error in _tts_inference_task", "builtins.ValueError")
            assert any("in broken" in place for place in line["stack"])
            assert SECRET not in logs.HumanLines().format(record)
    finally:
        handler.close()
        handler.thread.join(2)
        received.close()


@pytest.mark.parametrize(
    ("name", "message", "args"),
    [
        ("livekit.agents", f"failed to generate LLM completion: {SECRET}, retrying in 0.1s", ()),
        ("livekit.agents", "failed to synthesize speech: %s, retrying in %ss", (ValueError(SECRET), 1)),
        ("asyncio", f"Task exception was never retrieved\nfuture: <Task ValueError('{SECRET}')>", ()),
        ("asyncio", f"Exception in callback heard('{SECRET}')", ()),
    ],
)
def test_what_others_write_into_a_message_is_cut_off(
    name: str, message: str, args: tuple[object, ...]
) -> None:
    record = broken(name, message, *args, error=SECRET, user_transcript=SECRET, cause=ValueError(SECRET))
    for formatter in (logs.JsonLines(), logs.HumanLines(), logs.Wordless()):
        line = formatter.format(record)
        assert SECRET not in line
        assert message.split(" ", maxsplit=1)[0] in line


def test_exceptions_that_nobody_caught_are_told_without_their_words(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.configure("json", "INFO")

    def fail() -> None:
        raise ValueError(SECRET)

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    try:
        fail()
    except ValueError as error:
        sys.excepthook(ValueError, error, error.__traceback__)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["message"] for line in lines] == ["a thread broke", "the process broke"]
    assert SECRET not in json.dumps(lines)


def test_what_every_chat_would_say_is_a_warning_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = WorkerSettings.load({"CALL2ME_HOME": str(tmp_path), **KEYS})
    talks = Talks(settings, AsyncMock())  # a mock, since nothing is told
    with caplog.at_level(logging.INFO, logger="worker.text"):
        for code in ("llm_unavailable", "llm_unavailable", "variable_unknown"):
            talks.note(code)
    assert [(one.levelname, one.__dict__["code"]) for one in caplog.records] == [
        ("WARNING", "llm_unavailable"),
        ("INFO", "llm_unavailable"),
        ("WARNING", "variable_unknown"),
    ]
