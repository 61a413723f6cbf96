"""The same conversation with every way out taken away: no network at all but this machine's own."""

import asyncio
import json
import os
import re
import sys
from pathlib import Path

import pytest

from tests.support.stack import ROOT, environment

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

# WebRTC gathers no candidates on loopback alone, so there is a pair of interfaces with an address of
# the documentation's range, and nothing at the other end.
CUT_OFF = """
ip link set lo up
ip link add talk0 type veth peer name talk1
ip addr add 192.0.2.10/24 dev talk0
ip link set talk0 up
ip link set talk1 up
! python3 -c 'import socket; socket.create_connection(("192.0.2.1", 80), 1)' 2>/dev/null || exit 9
exec "$0" -m tests.support.talk "$1"
"""


async def test_the_clinic_answers_without_any_network(tmp_path: Path) -> None:
    namespace = ["unshare", "-n"] if os.geteuid() == 0 else ["unshare", "-rn"]
    process = await asyncio.create_subprocess_exec(
        *namespace, "sh", "-c", CUT_OFF, sys.executable, str(tmp_path / "home"),
        env=environment(tmp_path / "home"),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()[-4000:]
    talk = json.loads(out)

    heard = talk["heard"]
    assert "dentalclinic" in heard["greeting"].replace(" ", ""), heard  # as one name, or as three words
    assert re.search(r"(nine|9).*(one|1)", heard["hours"]), (heard, talk["captions"])
    assert re.search(r"95|ninety.?five", heard["price"]), heard
    assert "peter" in heard["read_back"], heard
    assert "maple" in heard["address"], (heard, talk["captions"])
    [booked] = [ran for ran in talk["call"]["functions"] if ran["name"] == "book_appointment"]
    assert booked["error"] is None, booked
    assert "peter" in json.dumps(booked["arguments"]).lower(), booked
    assert talk["stopped_after_seconds"] < 1.5, talk["stopped_after_seconds"]
    cut = [entry for entry in talk["call"]["transcript_object"] if entry["was_interrupted"]]
    assert {entry["role"] for entry in cut} == {"agent"}, cut
    assert "check-ups" in cut[-1]["text"], cut
    assert "children and adults" not in cut[-1]["text"], cut
    assert any(caption.startswith("user:") for caption in talk["captions"]), talk["captions"]
    assert any(caption.startswith("agent:") for caption in talk["captions"]), talk["captions"]
