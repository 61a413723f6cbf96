"""A disk that is full answers no call."""

from pathlib import Path

import pytest

from api import work
from api.app import create_app
from api.keys import DATABASE, READINESS
from api.settings import Settings


async def test_a_full_disk_is_why_no_call_can_be_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = create_app(Settings.load({"CALL2ME_HOME": str(tmp_path)}))
    assert (await app[READINESS].ask())["disk"] == ""
    # A disk cannot be filled in a test that others share: more is asked for than there is.
    monkeypatch.setattr(work, "NEEDED_BYTES", 2**62)
    found = await app[READINESS].ask()
    await app[DATABASE].close()
    assert "is full" in found["disk"]
