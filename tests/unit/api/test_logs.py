"""Log lines: constant messages, values beside them, and nothing that an exception carries."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from api import logs
from api.settings import Log


@pytest.fixture
def root() -> Iterator[None]:
    """Leave logging as it was."""
    logger = logging.getLogger()
    handlers, level = logger.handlers[:], logger.level
    yield
    logger.handlers[:] = handlers
    logger.setLevel(level)


@pytest.mark.usefixtures("root")
def test_a_line_is_json_with_the_values_beside_the_message() -> None:
    stream = io.StringIO()
    logs.configure(Log("json", "INFO"), stream)
    token = logs.REQUEST.set("req_1")
    logging.getLogger("api.x").info("call ended", extra={"call_id": "call_1", "ms": 3, "path": object})
    logs.REQUEST.reset(token)
    line = json.loads(stream.getvalue())
    assert (line["message"], line["level"], line["logger"]) == ("call ended", "INFO", "api.x")
    assert (line["call_id"], line["ms"], line["request_id"]) == ("call_1", 3, "req_1")
    assert line["at"].endswith("+00:00")


@pytest.mark.parametrize("form", ["json", "human"])
@pytest.mark.usefixtures("root")
def test_an_exceptions_text_stays_out_of_the_log_and_its_place_does_not(form: str) -> None:
    stream = io.StringIO()
    logs.configure(Log("json" if form == "json" else "human", "DEBUG"), stream)
    try:
        raise ValueError("what a person said")
    except ValueError:
        logging.getLogger("api.x").exception("request failed")
    assert "what a person said" not in stream.getvalue()
    assert "ValueError" in stream.getvalue()
    assert "test_logs.py" in stream.getvalue()


@pytest.mark.usefixtures("root")
def test_a_line_for_a_person_is_one_line() -> None:
    stream = io.StringIO()
    logs.configure(Log("human", "WARNING"), stream)
    logging.getLogger("api.x").info("quiet")
    logging.getLogger("api.x").warning("loud", extra={"n": 1})
    assert stream.getvalue().count("\n") == 1
    assert "WARNING api.x  loud  n=1" in stream.getvalue()
