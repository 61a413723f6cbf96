"""schemathesis over the whole document: nothing answers what it did not announce. `make fuzz` is longer."""

import pytest

from tests.support.fuzz import fuzzed
from tests.support.house import House

BOUNDED = ("--phases", "coverage,stateful", "--max-examples", "2", "--max-time", "150", "--seed", "7")


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("house", ["sqlite"], indirect=True)
def test_every_operation_answers_as_it_announces(house: House) -> None:
    done = fuzzed(house, BOUNDED)
    assert done.returncode == 0, done.stdout.decode("utf-8", "replace")[:20_000]
