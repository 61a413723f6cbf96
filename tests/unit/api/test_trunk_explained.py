"""What is said of a test call whose figures are not as they should be."""

from typing import Any

import pytest

from api.calls.table import CallRow
from api.db.columns import now
from api.trunk_tests.explaining import Heard, Trunk, explain
from pipelines.contract.events import MediaQuality

TRUNK = Trunk("sip.example.com", "udp", "+14155550123", "+14155550100", registers=False)


def quality(**more: Any) -> MediaQuality:
    figures = {"codec": "PCMU", "packets_received": 500, "packets_lost": 0, "packets_late": 0}
    figures |= {"packets_dropped": 0, "packets_sent": 500, "jitter_ms": 2.0, "mos": 4.3}
    return MediaQuality.model_validate(figures | more)


def over(**more: Any) -> CallRow:
    return CallRow(owner_id="u", status="failed", to_number="+14155550123", **more)


@pytest.mark.parametrize(
    ("heard", "success", "words"),
    [
        (Heard(quality(), was_said=True, key="1"), True, "both hear each other"),
        (Heard(quality(remote_lost_percent=0.5), was_said=True), True, "sound came back."),
        (Heard(quality(remote_lost_percent=90), was_said=True), False, "90 % is lost on the way there"),
        (Heard(quality(mos=2.5, packets_lost=100), was_said=True), True, "17 % of the packets lost"),
        (Heard(quality(packets_received=0), was_said=True), False, "no sound came from there"),
        (Heard(quality(packets_received=0, packets_sent=9), was_said=True), False, "before any sound"),
        (Heard(None, was_said=True), None, "was not measured"),
        (Heard(None, was_said=True, key="7"), True, "pressed 7"),
        (Heard(quality()), False, "nothing could be said: no voice"),
    ],
)
def test_an_answered_call_is_judged_by_its_sound(heard: Heard, success: bool | None, words: str) -> None:
    call = over(answered_at=now(), disconnection_reason="error: no voice")
    told = explain(call, heard, TRUNK)
    assert (told.success, words in told.summary) == (success, True), told


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ({"sip_code": 408, "sip_reason": "not answered in time", "ring_seconds": 10}, "did not ring"),
        ({"sip_code": 408, "sip_reason": "not answered in time", "ring_seconds": 40}, "took the call"),
        ({"sip_code": 499}, "refuses the call (499)"),
        ({"sip_code": 599}, "Something is wrong"),
        ({"sip_code": 302}, "forwarded"),
        ({"sip_reason": "Resolution failed for nobody.invalid"}, "No name server"),
        ({"sip_reason": "it leads into a private network"}, "leads into a private network"),
        ({"sip_reason": "no connection in time"}, "No connection came about"),
        ({"disconnection_reason": "not_dialled: no phone line"}, "Nothing was dialled: no phone line"),
        ({"disconnection_reason": "unsure: it is gone"}, "Nobody knows whether it rang: it is gone."),
    ],
)
def test_a_call_that_nobody_answered_is_explained_by_the_carriers_word(
    call: dict[str, Any], words: str
) -> None:
    told = explain(over(**call), Heard(), TRUNK)
    assert (told.success, words in told.summary) == (False, True), told
    assert told.advice
    assert "{" not in "".join(told.advice)


def test_one_that_goes_on_is_not_judged() -> None:
    assert explain(CallRow(owner_id="u", status="ringing"), Heard(), TRUNK).success is None
