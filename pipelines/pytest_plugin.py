"""Our pytest plugin: fixtures to test developers' functions, and agents that use them, in text.

It does nothing until a test asks for a fixture: livekit is imported only then. The folder of functions is
`functions/` beside pytest's configuration; the ini option `call2me_functions` names another.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """The one option, in pytest's configuration file."""
    parser.addini("call2me_functions", "Folder of the functions to test.", default="functions")


@pytest.fixture(scope="session")
def call2me_functions(pytestconfig: pytest.Config) -> Any:
    """Every function of the folder. Fails with the reasons where a module does not load."""
    from pipelines import testing  # noqa: PLC0415 - five seconds, for those who want it

    folder = pytestconfig.rootpath / Path(pytestconfig.getini("call2me_functions"))
    functions = testing.load(folder)
    if functions.broken:
        pytest.fail("\n".join(functions.broken), pytrace=False)
    return functions


@pytest.fixture
def call_function(call2me_functions: Any) -> Callable[..., Any]:
    """`await call_function("book_table", size=2)`: what it returns on a call; `ToolError` as there."""
    from pipelines import testing  # noqa: PLC0415

    return partial(testing.call, call2me_functions)


@pytest.fixture
def talk_to(call2me_functions: Any) -> Callable[..., Any]:
    """`async with talk_to("You answer …", ["book_table"]) as agent: await agent.says("…")`."""
    from pipelines import testing  # noqa: PLC0415

    return partial(testing.talking, call2me_functions)
