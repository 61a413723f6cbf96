"""Developers' functions: found by their folder, held to a deadline, never the end of a call."""

import asyncio
import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from livekit.agents.llm import ToolError

from pipelines.tools import developer
from worker import functions

GOOD = '''
import threading
from livekit.agents import RunContext, function_tool
from ._prices import PRICE

@function_tool
async def price(context: RunContext, service: str, urgent: bool = False) -> str:
    """What a service costs.

    Args:
        service: Which service.
    """
    return f"{service}: {PRICE}"

@function_tool
def thread_name() -> str:
    """Where it runs."""
    return threading.current_thread().name

RAW = {"type": "object", "properties": {"x": {"type": "integer"}}}

@function_tool(raw_schema={"name": "raw", "description": "Raw.", "parameters": RAW})
async def raw(raw_arguments: dict) -> str:
    return str(raw_arguments["x"])
'''


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "good.py").write_text(GOOD)
    (tmp_path / "_prices.py").write_text("PRICE = 80\n")
    (tmp_path / "broken.py").write_text("def half(:\n")
    (tmp_path / "leaves.py").write_text("raise SystemExit('bye')\n")
    return tmp_path


def test_a_folder_is_loaded_and_what_is_broken_is_named(folder: Path) -> None:
    loaded = developer.load(folder)
    assert set(loaded.by_name) == {"price", "raw", "thread_name"}
    assert [sentence.split()[0] for sentence in loaded.broken] == ["broken.py", "leaves.py"]


def test_signatures_say_what_a_model_needs(folder: Path) -> None:
    signatures = {one.name: one for one in developer.signatures(developer.load(folder))}
    price = signatures["price"]
    assert price.description == "What a service costs."
    assert set(price.parameters["properties"]) == {"service", "urgent"}
    assert price.parameters["properties"]["service"]["description"] == "Which service."
    assert signatures["raw"].parameters["properties"]["x"] == {"type": "integer"}


async def test_functions_run_and_those_that_block_run_in_a_thread(folder: Path) -> None:
    tools = developer.load(folder).by_name
    assert await tools["price"](None, service="cleaning") == "cleaning: 80"
    assert await tools["thread_name"]() != threading.main_thread().name
    assert await tools["raw"]({"x": 4}) == "4"


async def test_a_function_that_takes_too_long_is_an_answer_not_a_silence(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(
        "import asyncio, time\nfrom livekit.agents import function_tool\n"
        "@function_tool\nasync def sleepy() -> str:\n    'Sleeps.'\n    await asyncio.sleep(30)\n"
        "@function_tool\ndef stuck() -> str:\n    'Blocks.'\n    time.sleep(0.6)\n"
        "@function_tool\nasync def own() -> str:\n    'Fails.'\n    raise TimeoutError('its own')\n"
    )
    tools = developer.load(tmp_path, deadline_seconds=0.2).by_name
    for name in ("sleepy", "stuck"):
        with pytest.raises(ToolError, match="longer than"):
            await asyncio.wait_for(tools[name](), 0.5)
    with pytest.raises(TimeoutError, match="its own"):
        await tools["own"]()


def test_the_first_of_two_functions_with_one_name_is_kept(tmp_path: Path) -> None:
    body = "from livekit.agents import function_tool\n@function_tool\ndef same() -> str:\n    '{}'\n"
    (tmp_path / "a.py").write_text(body.format("first"))
    (tmp_path / "b.py").write_text(body.format("second"))
    loaded = developer.load(tmp_path)
    assert loaded.by_name["same"].info.description == "first"
    assert loaded.broken == ("b.py defines same again; the first one is kept",)


def test_a_change_is_seen_by_a_process_that_waited(folder: Path) -> None:
    before = developer.load(folder)
    assert developer.refreshed(before, folder) is before
    (folder / "broken.py").write_text(GOOD.replace("def price", "def cost"))
    after = developer.refreshed(before, folder)
    assert "cost" in after.by_name


def test_what_an_editor_leaves_beside_a_file_is_no_module(folder: Path) -> None:
    before = developer.load(folder)
    (folder / ".#rooms.py").symlink_to("somebody@host.4711:1")  # Emacs' mark on a file that it edits
    (folder / "gone.py").symlink_to(folder / "nowhere.py")
    assert functions.state_of(folder)
    found = developer.refreshed(before, folder)
    assert found.by_name.keys() == before.by_name.keys()
    assert not any(".#" in sentence for sentence in found.broken)


def test_no_folder_is_no_functions(tmp_path: Path) -> None:
    assert developer.load(None).by_name == {}
    assert developer.load(tmp_path / "missing").by_name == {}


def test_another_process_can_ask_for_the_list(folder: Path) -> None:
    out = subprocess.run(
        [sys.executable, "-m", "pipelines.tools.developer", str(folder)],
        capture_output=True,
        check=True,
        timeout=60,
    ).stdout
    assert {one["name"] for one in json.loads(out)["functions"]} == {"price", "raw", "thread_name"}
