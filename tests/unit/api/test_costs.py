"""What a call's providers cost."""

import json
from pathlib import Path

import pytest

from api.calls.costs import Engines, load, split
from api.calls.table import CallUsageRow
from pipelines.environment import SettingsError


def used(**values: float) -> CallUsageRow:
    """Figures of a call."""
    base = {"duration_ms": 60_000, "user_talk_ms": 0, "agent_talk_ms": 0, "turns": 1}
    return CallUsageRow(call_id="call_1", owner_id="u", **{**base, **values})


def test_each_part_costs_its_own_price() -> None:
    usage = used(llm_input_tokens=10_000, llm_output_tokens=1_000, tts_characters=2_000, stt_seconds=90)
    cost = split(usage, Engines("deepgram/nova-3", "openai/gpt-4o-mini-2024-07-18", "openai/tts-1"), load())
    assert cost.llm_usd == 0.0021
    assert cost.tts_usd == 0.03
    assert cost.stt_usd == 0.01155
    assert cost.total_usd == 0.04365


def test_a_price_that_nobody_knows_is_null_and_so_is_the_total() -> None:
    usage = used(llm_input_tokens=10_000, tts_characters=2_000, stt_seconds=90)
    cost = split(usage, Engines("local/whisper-base", "127.0.0.1:11434/llama3.2", "hibari/hibari"), load())
    assert (cost.stt_usd, cost.llm_usd, cost.tts_usd, cost.total_usd) == (0.0, None, 0.0, None)


def test_what_was_not_used_costs_nothing() -> None:
    assert split(used(), Engines("x/y", "x/y", "x/y"), load()).total_usd == 0.0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not JSON"),
        ('{"as_of": "now"}', "models"),
        (json.dumps({"as_of": "now", "models": {"a/b": {"stt_per_hour": 1}}}), "stt_per_hour"),
        (json.dumps({"as_of": "now", "models": {"a/b": {"stt_per_minute": -1}}}), "stt_per_minute"),
    ],
)
def test_a_price_list_that_cannot_be_used_is_named(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "prices.json").write_text(text)
    with pytest.raises(SettingsError, match=says):
        load(tmp_path / "prices.json")
    with pytest.raises(SettingsError, match="CALL2ME_PRICES"):
        load(tmp_path / "nowhere.json")
