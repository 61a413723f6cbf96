"""What an administrator may give, before anybody's database is asked."""

from pathlib import Path

import pytest

from api.settings import Settings
from api.up.errors import CannotStart
from api.up.money import credit


@pytest.mark.parametrize("amount", ["0", "-1", "NaN", "Infinity", "1e9", "0.0000001", "ten", ""])
def test_an_amount_that_is_none_is_not_credited(amount: str, tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match="AMOUNT must be"):
        credit(Settings.load({"CALL2ME_HOME": str(tmp_path)}), "a@example.com", amount, "Why not")


@pytest.mark.parametrize("note", ["", "  ", "x" * 501])
def test_a_grant_says_why(note: str, tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match="--note must say why"):
        credit(Settings.load({"CALL2ME_HOME": str(tmp_path)}), "a@example.com", "1", note)
