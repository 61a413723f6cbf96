"""The exchange's parts: sockets passed to another process, ports, who takes a call, what is kept."""

import asyncio
import shutil
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipelines.contract.websocket import Withdraw
from tests.support.rtp import media
from worker.exchange.calls import international, name_in, number_in
from worker.exchange.dialogs import Came, Dialogs, Kept
from worker.exchange.frames import FROM_EXCHANGE, HangUpLine, Here, Over, Take
from worker.exchange.link import Link, taken
from worker.exchange.outbound import Outbound
from worker.exchange.ports import Ports, Unavailable
from worker.exchange.shards import CALLS_PER_SHARD, ConnectedShard, Shards


def pair() -> tuple[socket.socket, socket.socket]:
    made = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
    for one in made:
        one.bind(("127.0.0.1", 0))
    return made[0], made[1]


async def test_sockets_come_with_the_frames_that_they_were_sent_with() -> None:
    here, there = socket.socketpair(socket.AF_UNIX)
    got: list[tuple[str, int | None]] = []

    def received(line: bytes, came: list[socket.socket]) -> None:
        frame = FROM_EXCHANGE.validate_json(line)
        port = None
        if isinstance(frame, Take):
            rtp, rtcp = taken(came)
            port = rtp.getsockname()[1]
            rtp.close()
            rtcp.close()
        got.append((frame.call_id, port))

    closed = asyncio.Event()
    sender = Link(here, lambda line, came: None, lambda: None)
    receiver = Link(there, received, closed.set)
    expected: list[tuple[str, int | None]] = []
    for number in range(200):
        if number % 3:
            rtp, rtcp = pair()
            take = Take(call_id=f"c{number}", job_id="j", media=media())
            sender.send(take, (rtp, rtcp))
            expected.append((f"c{number}", rtp.getsockname()[1]))
            rtp.close()
            rtcp.close()
        else:
            sender.send(Over(call_id=f"c{number}", cause="user_hangup", detail="x" * (number * 10)))
            expected.append((f"c{number}", None))
    async with asyncio.timeout(5):
        while len(got) < 200:
            await asyncio.sleep(0.01)
    assert got == expected
    sender.close()
    await asyncio.wait_for(closed.wait(), 2)
    assert not receiver.is_open


async def test_a_link_that_is_gone_takes_nothing_and_says_so_once() -> None:
    here, there = socket.socketpair(socket.AF_UNIX)
    told: list[str] = []
    link = Link(here, lambda line, came: None, lambda: told.append("gone"))
    there.close()
    async with asyncio.timeout(2):
        while not told:
            await asyncio.sleep(0.01)
    link.send(HangUpLine(call_id="c"))
    link.close()
    assert told == ["gone"]


async def test_the_fullest_shard_with_room_takes_a_call_and_one_stays_empty(tmp_path: Path) -> None:
    shards = Shards(tmp_path / "x.sock", lambda shard, frame, came: None, lambda shard: None)
    assert shards.choose() is None
    one, two, three = ConnectedShard(), ConnectedShard(), ConnectedShard()
    for shard in (one, two, three):
        shard.takes_calls = True
    shards._shards = [one]
    assert shards.choose() is one, "a single one does all"
    shards._shards = [one, two, three]
    one.call_ids = {"a"}
    assert shards.choose() is one
    assert shards.spare() in (two, three)
    one.call_ids = {str(number) for number in range(CALLS_PER_SHARD)}
    assert shards.choose() is two, "and the third stays empty"
    two.call_ids = {str(number) for number in range(CALLS_PER_SHARD + 30)}
    assert shards.choose() is one, "whoever waits has a shard, too, and it must not take all that talk"
    two.takes_calls = False
    assert shards.choose() is one


async def test_calls_share_a_shard_only_with_calls_of_their_word(tmp_path: Path) -> None:
    shards = Shards(tmp_path / "x.sock", lambda shard, frame, came: None, lambda shard: None)
    one, two, three = ConnectedShard(), ConnectedShard(), ConnectedShard()
    for shard in (one, two, three):
        shard.takes_calls = True
    shards._shards = [one, two]
    of = {"a": "", "b": "agent_1"}
    one.call_ids = {"a"}
    assert shards.choose("", of) is one
    assert shards.choose("agent_1", of) is two, "the spare one, so that it is alone"
    two.call_ids = {"b"}
    assert shards.choose("agent_1", of) is two
    assert shards.choose("", of) is one
    assert shards.choose("agent_2", of) in (one, two), "a call that nobody has room for alone is taken still"
    shards._shards = [one, two, three]
    assert shards.choose("agent_2", of) is three
    assert shards.spare("agent_1", of) is three
    three.call_ids = {"c"}
    assert shards.spare("agent_1", of | {"c": ""}) is two


def test_ports_are_even_go_round_and_come_back() -> None:
    ports = Ports("127.0.0.1", 41_001, 41_009)
    held = [ports.open() for _ in range(4)]
    assert sorted(rtp.getsockname()[1] for rtp, _ in held) == [41_002, 41_004, 41_006, 41_008]
    assert all(rtcp.getsockname()[1] == rtp.getsockname()[1] + 1 for rtp, rtcp in held)
    with pytest.raises(Unavailable):
        ports.open()
    for one in held[2]:
        one.close()
    again = ports.open()
    for one in (*held[0], *held[1], *held[3], *again):
        one.close()


def test_a_journal_that_was_torn_costs_one_call_and_no_more(tmp_path: Path) -> None:
    dialogs = Dialogs(tmp_path / "dialogs")
    kept = Kept(
        call_id="c1",
        trunk_id="t",
        is_outbound=False,
        snapshot="{}",
        media=media(),
        address=("127.0.0.1", 4000),
        session_id=1,
        version=2,
        codec="PCMU",
    )
    dialogs.keep(kept)
    (tmp_path / "dialogs" / "c2.json").write_text('{"call_id": "c2", "trunk')
    assert Dialogs(tmp_path / "dialogs").kept() == [kept]
    dialogs.forget("c1")
    assert Dialogs(tmp_path / "dialogs").kept() == []


def test_whoever_may_have_been_called_is_known_until_the_api_was_told(tmp_path: Path) -> None:
    dialogs, sent = Dialogs(tmp_path / "dialogs"), list[str]()
    assert not dialogs.may_have_rung("o1")
    assert dialogs.places("o1")
    assert dialogs.places("o2")
    dialogs.rings("o2").write_text("sent")
    dialogs.rings("o2").with_suffix(".new").touch()
    for _ in range(2):  # an exchange that dies before it has told leaves the next one to tell it
        rang = Dialogs(tmp_path / "dialogs").rang()
        assert {call_id: one.was_called for call_id, one in rang.items()} == {"o1": False, "o2": True}
        assert dialogs.may_have_rung("o1")
        sent.append(rang["o2"].sent)
    assert sent == ["sent", ""], "it is cancelled once"
    dialogs.forget("o2")
    assert dialogs.may_have_rung("o2")
    for call_id in ("o1", "o2", "never"):
        dialogs.told(call_id)
        assert not dialogs.may_have_rung(call_id)
    (tmp_path / "dialogs").rmdir()
    assert not dialogs.places("o3"), "nobody is called whom nothing would be known of"


def test_who_calls_is_in_the_journal_until_they_are_answered_or_the_api_was_told(tmp_path: Path) -> None:
    folder = tmp_path / "dialogs"
    dialogs = Dialogs(folder)
    dialog: Any = SimpleNamespace(call_id="../../x", snapshot=lambda: "came")
    with dialogs.coming(dialog):
        assert Dialogs(folder).came() == [Came("came")]
        assert Dialogs(folder).came() == [], "it is refused once"
    with dialogs.coming(dialog):
        dialogs.is_of(dialog, "c1")
    assert [path.name for path in folder.iterdir()] == ["c1.asks"]
    for _ in range(2):  # an exchange that dies before it has told leaves the next one to tell it
        assert Dialogs(folder).came() == [Came("came", "c1")]
    (folder / "c1.json").touch()
    assert Dialogs(folder).came() == [], "it was answered"
    (folder / "c1.json").unlink()
    dialogs.asks("c1", dialog)
    assert (folder / "c1.asks").stat().st_mode & 0o777 == 0o600
    dialogs.told("c1")
    folder.rmdir()
    with dialogs.coming(dialog):  # it is taken all the same, and does not outlive us
        dialogs.is_of(dialog, "c1")


def test_an_order_is_withdrawn_only_by_the_journal_that_would_have_it(tmp_path: Path) -> None:
    def asked(call_id: str, journal: str) -> str:
        nobody: Any = None
        outbound = Outbound(nobody, nobody, nobody, nobody, Dialogs(tmp_path / "dialogs"))
        return outbound.withdraw(Withdraw(order_id="w", call_id=call_id, journal=journal)).outcome

    dialogs = Dialogs(tmp_path / "dialogs")
    dialogs.places("o1")
    first = dialogs.journal
    assert first == Dialogs(tmp_path / "dialogs").journal
    assert [asked(call_id, first) for call_id in ("o1", "o2")] == ["refused", "done"]
    shutil.rmtree(tmp_path / "dialogs")  # as where it was on no disk that is kept
    assert [asked(call_id, first) for call_id in ("o1", "o2")] == ["unknown", "unknown"]
    assert asked("o2", "") == "done", "an api that was not told of any"
    assert Dialogs(tmp_path / "dialogs").journal != first
    assert list((tmp_path / "dialogs").iterdir()) == []


@pytest.mark.parametrize(
    ("header", "number", "name"),
    [
        ('"Ann B" <sip:+14155550100@carrier;user=phone>;tag=1', "+14155550100", "Ann B"),
        ("sip:1000@10.0.0.1", "1000", ""),
        ("<sip:anonymous@anonymous.invalid>", "anonymous", ""),
        ("tel:+14155550100;phone-context=x", "+14155550100", ""),
        ("<sip:%2B14155550100@carrier>", "+14155550100", ""),
        ("", "", ""),
        ("<sip:" + "9" * 1000 + "@x>", "", ""),
    ],
)
def test_who_calls_is_read_from_a_header(header: str, number: str, name: str) -> None:
    assert number_in(header) == number
    assert name_in(header) == name


def test_a_frame_of_a_newer_process_is_read() -> None:
    assert FROM_EXCHANGE.validate_json('{"kind": "over", "call_id": "c", "cause": "line_lost", "new": 1}')
    assert Here(pid=1).call_ids == ()


@pytest.mark.parametrize(
    ("told", "meant"),
    [
        ("+14155550123", "+14155550123"),
        ("14155550123", "+14155550123"),
        ("0014155550123", "+14155550123"),
        ("03012345678", "03012345678"),  # of a country that the api knows
        ("4155550123", "4155550123"),
        ("1001", "1001"),
        ("anonymous", "anonymous"),
        ("", ""),
    ],
)
def test_a_number_that_has_a_country_code_is_told_with_its_plus(told: str, meant: str) -> None:
    assert international(told) == meant
