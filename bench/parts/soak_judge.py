"""What must be so after a soak, whatever was killed: each a line with how many were looked at."""

import asyncio
import sqlite3
from collections import Counter, defaultdict
from contextlib import closing
from typing import Any

from bench.parts.soak_house import Footprint, House, Verdict
from bench.parts.soak_load import Load, Receiver
from bench.parts.soak_phones import CarrierCall
from bench.parts.soak_voices import PITCHES, number_in
from tests.support.stack import COMMAND, ROOT

OVER = {"completed", "failed", "no_answer", "busy", "transferred", "ended"}
ENDS = {"call.completed", "call.transferred", "call.failed"}
CLOSE_SECONDS = 5.0
SPARE_DESCRIPTORS, SPARE_THREADS = 16, 24
"""For each process: pools of threads and connections, which grow up to a bound when much comes at once."""

_KINDS = {"user": "question", "agent": "answer"}

Call = dict[str, Any]


async def calls_of(house: House) -> list[Call]:
    """All of them, whole."""
    short = await house.every("/v1/calls", "calls")
    return [await house.get(f"/v1/calls/{one['call_id']}") for one in short]


def other_side(call: Call) -> str:
    """The number of whoever we talked with."""
    return str(call["from_number"] if call["direction"] == "inbound" else call["to_number"])


def ends(calls: list[Call], carried: list[CarrierCall]) -> list[Verdict]:
    """Each call that the carrier had is known, and over when it was over there."""
    by_number = defaultdict(list)
    for call in calls:
        by_number[other_side(call)].append(call)
    answered = [one for one in carried if one.answered_at]
    unknown, unlike, apart, late = [], [], [], []
    for one in answered:
        found = by_number[one.number]
        if len(found) != 1:
            unknown.append(f"{one.number} is {len(found)} calls of the api; at the carrier {one.ended_by}")
            continue
        call = found[0]
        if call["start_timestamp"]:
            late.append(call["start_timestamp"] / 1000 - one.answered_at)
        apart.append((call["end_timestamp"] or 0) / 1000 - one.ended_at)
        if abs(apart[-1]) > CLOSE_SECONDS:
            unlike.append(
                f"{call['call_id']} ended {apart[-1]:+.1f} s from the carrier's end ({one.ended_by}); "
                f"{call['call_status']} {call['disconnection_reason']}, attempt {call['attempt']}"
            )
    on = [f"{call['call_id']} is {call['call_status']}" for call in calls if call["call_status"] not in OVER]
    on += [call["call_id"] for call in calls if call["call_status"] in OVER and not call["end_timestamp"]]
    still = [one.number for one in carried if not one.ended_at]
    notes = f"{_spread(apart)} after; the agent began {_spread(late)} after the answer"
    return [
        Verdict("calls that the carrier saw answered are in the api, once", len(answered), unknown),
        Verdict(f"they end within {CLOSE_SECONDS:.0f} s of the carrier's end", len(apart), unlike, notes),
        Verdict("calls are over", len(calls), on),
        Verdict("the carrier has no call left", len(carried), still),
    ]


def _spread(seconds: list[float]) -> str:
    ordered = sorted(seconds) or [0.0]
    return f"{ordered[len(ordered) // 2]:.1f} s (at most {ordered[-1]:.1f})"


def hooks(calls: list[Call], receiver: Receiver) -> list[Verdict]:
    """Each call's end was told, as one event of each kind."""
    over = [call for call in calls if call["call_status"] in OVER]
    told = {"one event of how they went": ENDS, "one call.ended": {"call.ended"}}
    repeated = sum(count - 1 for count in Counter(name for name, _ in receiver.events).values())
    notes = f"{len(receiver.events)} deliveries, {sum(receiver.failed.values())} failed, {repeated} repeated"
    verdicts = []
    for what, kinds in told.items():
        ids: dict[str, set[str]] = defaultdict(set)
        for name, event in receiver.events:
            if event["event"] in kinds:
                ids[event["call_id"]].add(name)
        wrong = [
            f"{call['call_id']} ({call['disconnection_reason']}): {len(ids[call['call_id']])} events"
            for call in over
            if len(ids[call["call_id"]]) != 1
        ]
        verdicts.append(Verdict(f"ended calls have {what}, delivered", len(over), wrong, notes))
    begun = [call for call in over if call["engines"]]
    unread = [call["call_id"] for call in begun if call["call_analysis"] is None]
    return [*verdicts, Verdict("calls that began are analysed", len(begun), unread)]


def orders(load: Load, calls: list[Call], people: list[dict[str, Any]]) -> list[Verdict]:
    """Nobody is called twice, nobody is forgotten."""
    invited = load.carrier.invited
    twice = [f"{number}: {count} INVITEs" for number, count in invited.items() if count > 1]
    by_id = {call["call_id"]: call for call in calls}
    lost, outcomes = [], Counter[str]()
    for order in load.orders:
        call = by_id.get(order.call_id)
        if order.status != 201:
            outcomes[f"not taken ({order.status})"] += 1
            if order.status and invited[order.number]:
                lost.append(f"{order.number} was called, though its order was answered {order.status}")
            continue
        if call is None:
            lost.append(f"{order.number} was taken and is no call")
            continue
        reason = (call["disconnection_reason"] or "").split(":")[0]
        outcomes["called" if invited[order.number] else f"{call['call_status']} {reason}"] += 1
        if not invited[order.number] and not (call["call_status"] == "failed" and reason):
            lost.append(f"{order.call_id} was never called and is {call['call_status']} {reason}")
    odd, stand = [], Counter[str]()
    for person in people:
        stand[f"{person['status']} {person['outcome'] or ''}".strip()] += 1
        is_done = person["status"] in {"completed", "failed", "skipped"} and person["outcome"]
        if not is_done and person["status"] != "pending":
            odd.append(f"{person['phone_number']} is {person['status']}, {person['outcome']}")
        if person["status"] == "pending" and invited[person["phone_number"]]:
            odd.append(f"{person['phone_number']} was called and is pending")
    return [
        Verdict("numbers were called once at most", len(invited), twice),
        Verdict("orders are accounted for", len(load.orders), lost, _counted(outcomes)),
        Verdict("people of the campaign have an outcome or wait", len(people), odd, _counted(stand)),
    ]


def words(calls: list[Call], carried: list[CarrierCall], kills: list[float]) -> list[Verdict]:
    """What a caller heard is in the transcript, and nothing is there twice."""
    by_number = {other_side(call): call for call in calls}
    heard, missing = 0, []
    for one in carried:
        if (call := by_number.get(one.number)) is None:
            continue
        said = [entry for entry in call["transcript_object"] if entry["role"] == "agent"]
        numbers = {number_in(one["text"], "answer") for one in said}
        have = Counter(number % PITCHES for number in numbers if number is not None)
        # Of one that was interrupted at its very end, the last digit is not in the text.
        cut_off = sum(one["was_interrupted"] and one["text"].startswith("Answer") for one in said)
        for at, pitch in one.heard:
            heard += 1
            have[pitch] -= 1
            if have[pitch] < 0 and cut_off:
                cut_off -= 1
            elif have[pitch] < 0:
                since = min((at - kill for kill in kills if kill < at), default=0.0)
                missing.append(
                    f"{call['call_id']}: an answer (…{pitch:02d}) is not there, heard {since:.1f} s after a "
                    f"kill; attempt {call['attempt']}"
                )
    spoken = Counter(
        (entry["role"], entry["text"])
        for call in calls
        for entry in call["transcript_object"]
        if entry["text"].endswith(".") and number_in(entry["text"], _KINDS.get(entry["role"], "note"))
    )
    twice = [f"{text!r} of the {role}: {count} times" for (role, text), count in spoken.items() if count > 1]
    return [
        Verdict("answers that callers heard are in the transcript", heard, missing),
        Verdict("utterances are in transcripts once", len(spoken), twice),
    ]


async def chats(house: House, load: Load) -> list[Verdict]:
    """Each message that was taken, and its answer, once."""
    looked_at, wrong = 0, []
    for chat in load.chats:
        messages = (await house.get(f"/v1/chats/{chat.session_id}"))["messages"]
        for note, answer in chat.written.items():
            looked_at += 1
            mine = [
                one for one in messages if one["role"] == "user" and number_in(one["content"], "note") == note
            ]
            theirs = [one for one in messages if one["role"] == "assistant" and one["content"] == answer]
            if len(mine) != 1 or len(theirs) != 1:
                states = [one.get("status") for one in mine]
                wrong.append(
                    f"{chat.session_id} note {note}: {len(mine)} {states}, answer {len(theirs)} times"
                )
    refused = sum(len(chat.refused) for chat in load.chats)
    return [
        Verdict("messages of chats and their answers are there once", looked_at, wrong, f"{refused} refused")
    ]


async def money(house: House, load: Load, calls: list[Call]) -> list[Verdict]:
    """The book adds up; each call is charged and each payment credited, once."""
    checked = await asyncio.create_subprocess_exec(
        *COMMAND, "wallet", "check", env=house.environment, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    said = (await checked.communicate())[0].decode().strip()
    book = await house.every("/v1/wallet/transactions", "transactions")
    balance = await house.get("/v1/wallet/balance")
    summed = sum(round(row["amount_usd"] * 1_000_000) for row in book)
    off = [] if checked.returncode == 0 else said.splitlines()
    if summed != round(balance["balance_usd"] * 1_000_000):
        off.append(f"transactions add up to {summed} millionths, the balance is {balance['balance_usd']}")
    held = [f"{balance['held_usd']} USD are held"] if balance["held_usd"] else []
    charges = Counter(row["call_id"] for row in book if row["type"] == "usage" and row["call_id"])
    begun = [call for call in calls if call["engines"]]
    wrong = [
        f"{call['call_id']} ({call['call_status']}): {charges[call['call_id']]} charges"
        for call in calls
        if charges[call["call_id"]] > 1 or (call["engines"] and not charges[call["call_id"]])
    ]
    credited = Counter(round(row["amount_usd"] * 100) for row in book if row["type"] == "topup")
    credited.subtract(load.paid.values())
    bonus = sum(count for count in credited.values() if count > 0)
    unpaid = [
        f"{cents} cents: credited {count} times too often" for cents, count in credited.items() if count
    ]
    if bonus == 1 and credited[500] == 1:
        unpaid = [line for line in unpaid if not line.startswith("500 cents")]  # the welcome
    return [
        Verdict("the wallet's book adds up to its balance", len(book), off, f"{balance['balance_usd']} USD"),
        Verdict("nothing is held back for calls that are over", len(calls), held),
        Verdict("calls that began are charged once", len(begun), wrong),
        Verdict("payments are credited once", len(load.paid), unpaid, f"{load.deliveries} events taken"),
    ]


def leftovers(before: dict[str, Footprint], after: dict[str, Footprint], house: House) -> list[Verdict]:
    """What is held once nobody talks is what was held before anybody did."""
    more, notes = [], []
    for kind in sorted(before | after):
        was, now = before.get(kind, Footprint()), after.get(kind, Footprint())
        count = max(1, now.processes)
        notes.append(f"{kind} {was.mb:.0f} → {now.mb:.0f} MB")
        if kind != "text" and now.processes != was.processes:
            more.append(f"{kind}: {now.processes} processes, before {was.processes}")
        if now.udp > was.udp:
            more.append(f"{kind}: {now.udp} UDP sockets, before {was.udp}")
        if was.processes and now.descriptors > was.descriptors + SPARE_DESCRIPTORS * count:
            more.append(f"{kind}: {now.descriptors} descriptors, before {was.descriptors}")
        if was.processes and now.threads > was.threads + SPARE_THREADS * count:
            more.append(f"{kind}: {now.threads} threads, before {was.threads}")
    spooled = [path for path in (house.home / "spool").iterdir() if path.is_file()]
    journal = house.home / "run" / "dialogs"
    kept = [path for path in journal.rglob("*") if path.is_file()] if journal.is_dir() else []
    files = [f"{path.relative_to(house.home)}" for path in spooled]
    return [
        Verdict("processes, sockets, descriptors and threads are as before", len(before), more),
        Verdict(
            "nothing is left in the spool",
            len(spooled),
            files,
            f"{len(kept)} files of the exchange's journal",
        ),
        Verdict("memory, all of a kind", len(notes), [], ", ".join(notes)),
    ]


async def durable(house: House, database_url: str) -> Verdict:
    """Durable work that was begun is done."""
    query = "SELECT name, status, workflow_uuid, created_at FROM {} WHERE status IN ('PENDING', 'ENQUEUED')"
    rows: list[Any]
    if database_url:
        import asyncpg  # noqa: PLC0415 - only where there is PostgreSQL

        connection = await asyncpg.connect(database_url)
        try:
            rows = [tuple(row) for row in await connection.fetch(query.format("dbos.workflow_status"))]
        finally:
            await connection.close()
    else:
        with closing(sqlite3.connect(house.home / "durable.sqlite")) as connection:
            rows = connection.execute(query.format("workflow_status")).fetchall()
    return Verdict(
        "durable work is done", len(rows), [f"{name} {status} {id_}" for name, status, id_, _ in rows]
    )


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {what}" for what, count in counts.most_common())
