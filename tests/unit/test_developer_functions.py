"""Developers' functions: found by their folder, held to a deadline, never the end of a call."""

import asyncio
import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pipelines.function_config import RunsLike
from pipelines.tools import developer
from pipelines.tools.policy import Rails
from pipelines.tools.python_tool import as_tool
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
    found = developer.load(folder).by_name
    tools = {name: as_tool(tool, RunsLike(), Rails()) for name, tool in found.items()}
    assert await tools["price"](None, service="cleaning") == "cleaning: 80"
    assert await tools["thread_name"]() != threading.main_thread().name
    assert await tools["raw"]({"x": 4}) == "4"


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


NOTED = GOOD.replace('PRICE}"', 'PRICE} {__file__}"')


def test_half_a_thought_leaves_the_code_as_it_was(tmp_path: Path) -> None:
    folder, kept = tmp_path / "functions", tmp_path / "kept"
    folder.mkdir()
    (folder / "good.py").write_text(NOTED)
    (folder / "_prices.py").write_text("PRICE = 80\n")
    developer.keep(folder, kept, developer.load(folder, kept))
    (folder / "good.py").write_text(NOTED + "\ndef half(:\n")
    (folder / "_prices.py").write_text("PRICE = ")
    found = developer.load(folder, kept)  # as a process that never saw the code before
    assert set(found.by_name) == {"price", "raw", "thread_name"}
    assert asyncio.run(_price(found)) == f"cleaning: 80 {folder / 'good.py'}"
    assert found.broken[0].startswith("good.py did not load: SyntaxError")
    assert found.broken[0].endswith("its functions are as they were before")
    (folder / "_prices.py").write_text("PRICE = 90\n")
    (folder / "good.py").write_text(NOTED)
    mended = developer.refreshed(found, folder, kept)
    assert mended.broken == ()
    assert asyncio.run(_price(mended)).startswith("cleaning: 90")


async def _price(functions: developer.Functions) -> str:
    answer: str = await functions.by_name["price"](None, service="cleaning")
    return answer


def test_a_package_brings_functions_by_an_entry_point(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path_factory.mktemp("site")
    (site / "c2m_brings.py").write_text(
        GOOD.replace("from ._prices import PRICE", "PRICE = 1").replace("price(", "cost(")
    )
    info = site / "c2m_brings-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: c2m-brings\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[call2me.functions]\nall = c2m_brings\none = c2m_brings:raw\nbad = c2m_brings:nothing\n"
    )
    monkeypatch.syspath_prepend(str(site))
    found = developer.load(folder)
    assert {"price", "cost"} <= set(found.by_name)
    assert any("c2m_brings:nothing did not load" in sentence for sentence in found.broken)
    assert "c2m_brings defines raw again; the first one is kept" in found.broken


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
