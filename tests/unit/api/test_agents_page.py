"""docs/agents.md says what every field of an agent does."""

import re
from pathlib import Path

import pytest

from api.agents.fields import BuiltinEngine
from api.agents.schemas import AgentSettings

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "agents.md").read_text()


@pytest.mark.parametrize("field", [*AgentSettings.model_fields, *BuiltinEngine.model_fields])
def test_every_field_is_told_of(field: str) -> None:
    assert re.search(rf"\b{field}\b", PAGE) or field == "type"


def test_no_field_is_told_of_that_is_none() -> None:
    told = {
        name
        for row in re.findall(
            r"^\| (`.*?) \|", PAGE.split("## What watches a call", maxsplit=1)[0], re.MULTILINE
        )
        for name in re.findall(r"`(\w+)`", row)
    }
    assert told <= set(AgentSettings.model_fields)
