"""A developer's function tried on its own: in a process that it cannot outlive, by the code of calls."""

from pathlib import Path

import pytest

from pipelines.contract.websocket import FunctionTried, TryFunction
from worker.functions import read, state_of
from worker.trying import try_function

FUNCTIONS = '''
import os, threading, time
from livekit.agents import RunContext, function_tool

@function_tool
async def greet(context: RunContext, name: str) -> dict:
    """Greet.

    Args:
        name: Whom.
    """
    print("hello on stdout")
    return {"hello": name}

@function_tool
def hangs() -> str:
    """Hangs."""
    time.sleep(60)
    return "late"

@function_tool
async def kills() -> str:
    """Ends the process."""
    os._exit(7)
'''


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    home = tmp_path_factory.mktemp("trying")
    (home / "functions").mkdir()
    (home / "run").mkdir()
    (home / "functions" / "some.py").write_text(FUNCTIONS)
    return home / "functions", home / "run"


async def tried(places: tuple[Path, Path], function: str, **arguments: str) -> FunctionTried:
    order = TryFunction(order_id="try_1", name=function, arguments=arguments, timeout_ms=500)
    answer = await try_function(order, *places)
    assert answer.order_id == "try_1"
    return answer


async def test_it_answers_as_on_a_call(places: tuple[Path, Path]) -> None:
    fine = await tried(places, "greet", name="Ada")
    assert (fine.ok, fine.result) == (True, '{"hello":"Ada"}')
    wrong = await tried(places, "greet")
    assert (wrong.ok, wrong.error.startswith("Error parsing arguments for `greet`")) == (False, True)


async def test_what_hangs_or_kills_is_an_answer_too(places: tuple[Path, Path]) -> None:
    assert (await tried(places, "hangs")).error == "hangs took longer than 0.5 seconds and was given up."
    assert (await tried(places, "kills")).error == "The function ended its process."


async def test_half_a_thought_is_no_loss(places: tuple[Path, Path]) -> None:
    folder, run = places
    names = {one.name for one in await read(folder, run / "functions.json", state_of(folder))}
    (folder / "some.py").write_text(FUNCTIONS + "\ndef half(:\n")
    still = {one.name for one in await read(folder, run / "functions.json", state_of(folder))}
    assert names == still == {"greet", "hangs", "kills"}
    assert (await tried(places, "greet", name="Ada")).ok
