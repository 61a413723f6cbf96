"""Real telephones that speak one codec and no other: words and keys go both ways."""

import asyncio
import itertools
import json
import re
import sys
from typing import Any

import numpy as np
import pytest

from pipelines.contract.events import FunctionCalled, MediaMeasured
from tests.support.pjsip import Pcm, Pjsip, pjsip
from tests.support.recordings import RATE as RECORDED
from tests.support.recordings import decoded
from tests.support.speech import RATE, spoken, understood
from tests.support.telephony import NUMBER, Stage, staged
from worker.lines.rtp.codecs import Resampler

pytestmark = [
    pytest.mark.phones,
    pytest.mark.timeout(180),
    pytest.mark.skipif(sys.platform != "linux", reason="pjsua2-python has wheels for Linux only"),
]

SHARD = "from tests.support.tapped_shard import main; main()"
HOURS, SENDS, COLLECTS = "What are your hours?", "Two please.", "My PIN."
SCRIPT: dict[str, Any] = {
    "heard": (HOURS, SENDS, COLLECTS),
    "answers": {
        HOURS: "The clinic opens on Monday morning.",
        SENDS: {"name": "send_digits", "arguments": {"digits": "2#"}},
        COLLECTS: {"name": "collect_digits", "arguments": {"count": 4}},
    },
    "engine": {"builtin_functions": ["send_digits", "collect_digits"]},
}
ASKED = "What are your opening hours on Saturday afternoon?"
PHONES = (("PCMA", 8, 8_000), ("G722", 9, 16_000))
"""Codec, payload type, and the rate of the telephone's microphone."""


async def test_a_telephone_with_one_codec_is_understood_and_understands() -> None:
    async with (
        staged(shards=1, shard=SHARD, **SCRIPT) as (stage, _),
        pjsip({"alaw": {}}, codecs=["PCMA"]) as narrow,
        pjsip({"wide": {}}, codecs=["G722"], rate=16_000) as wide,
    ):
        for number, phone in enumerate((narrow, wide), 1):
            phone.do("dial", value=f"sip:{NUMBER}@127.0.0.1:{stage.sip_port}")
            await stage.until(lambda: len(stage.rang) == number)  # noqa: B023
        async with asyncio.TaskGroup() as talks:
            for number, phone in enumerate((narrow, wide), 1):
                talks.create_task(_talk(stage, f"c{number}", phone))
        packets = [json.loads(line) for line in (stage.home / "packets.jsonl").read_text().splitlines()]
        ports = list(dict.fromkeys(port for _, port, *_ in packets))
        recordings = []
        for number, (codec, payload_type, _) in enumerate(PHONES):
            call_id, port = f"c{number + 1}", ports[number]
            (measured,) = [one for one in stage.events(call_id) if isinstance(one, MediaMeasured)]
            assert measured.quality.codec == codec
            assert measured.quality.packets_lost == 0
            for way in ("out", "in"):
                _on_a_clock_of_8_khz([one[3:] for one in packets if one[:3] == [way, port, payload_type]])
            recordings.append(decoded(stage.home / "spool" / f"{call_id}.1.ogg")[0])
        sound = wide.heard()
        for phone in (narrow, wide):
            assert re.search(r"how may i help.*opens on monday", phone.words(), re.DOTALL)
    for recording in recordings:
        assert "opening hours on saturday" in understood(recording, RECORDED), "as the agent heard it"
    narrow_share, wide_share = (_above_4_khz(one, RECORDED) for one in recordings)
    assert wide_share > 5 * narrow_share, "G.722 carries twice the band to the agent"
    assert _above_4_khz(sound, 16_000) > 5 * narrow_share, "and to the phone"


async def _talk(stage: Stage, call_id: str, phone: Pjsip) -> None:
    await phone.talks()
    await phone.listens()
    since = len(phone.heard())
    await asyncio.sleep(phone.say(_said(ASKED, phone.rate)))
    await phone.listens(since=since)
    await asyncio.sleep(phone.say(_said("I would like two of them please.", phone.rate)))
    await phone.until(lambda: phone.all("key") == ["2", "#"])
    await stage.until(lambda: len(stage.said(call_id)) >= 5)
    await asyncio.sleep(phone.say(_said("I would like to type my PIN.", phone.rate)))
    await stage.until(lambda: ("user", COLLECTS) in stage.said(call_id))
    await asyncio.sleep(0.3)
    phone.do("keys", value="1973")
    await stage.until(lambda: "The person typed 1 9 7 3." in _results(stage, call_id))
    phone.do("hang_up")
    await stage.until(lambda: (events := stage.events(call_id)) and events[-1].kind == "call_ended")


def _results(stage: Stage, call_id: str) -> list[str]:
    return [event.result for event in stage.events(call_id) if isinstance(event, FunctionCalled)]


def _said(text: str, rate: int) -> Pcm:
    return np.frombuffer(Resampler(RATE, rate).push(spoken(text).tobytes()), np.int16)


def _on_a_clock_of_8_khz(sound: list[list[int]]) -> None:
    """Whatever the sound's rate is (RFC 3551, 4.5.2): 20 ms are 160 units, and 160 bytes."""
    assert len(sound) > 500
    assert {size for *_, size in sound} == {160}
    steps = [
        (after[1] - before[1]) & 0xFFFFFFFF
        for before, after in itertools.pairwise(sound)
        if after[0] == (before[0] + 1) & 0xFFFF
    ]
    assert steps.count(160) > 0.98 * len(steps), "but where we stood still"


def _above_4_khz(pcm: Pcm, rate: int) -> float:
    """Which share of the energy of 0.3 to 7 kHz is there."""
    power = np.abs(np.fft.rfft(pcm.astype(np.float32))) ** 2
    hertz = np.fft.rfftfreq(len(pcm), 1 / rate)
    return float(
        power[(hertz > 4_300) & (hertz < 7_000)].sum() / power[(hertz > 300) & (hertz < 7_000)].sum()
    )
