"""schemathesis over the whole document: nothing answers what it did not announce. `make fuzz` is longer."""

from pathlib import Path

import pytest

from tests.support.fuzz import fuzzed
from tests.support.house import running_house

BOUNDED = ("--phases", "coverage,stateful", "--max-examples", "2", "--max-time", "150", "--seed", "7")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_operation_answers_as_it_announces(tmp_path: Path) -> None:
    # In a house of its own: what it leaves behind is work that others would wait for.
    with running_house(tmp_path / "home") as house:
        done = fuzzed(house, BOUNDED)
    assert done.returncode == 0, done.stdout.decode("utf-8", "replace")[:20_000]
