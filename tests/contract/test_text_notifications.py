"""Who is told by text message: sent once, from the number of the call, and why not where it may not be."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import delete, update
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from api.calls.table import CallAnalysisRow, CallRow
from api.sms.table import SmsRow
from api.wallet.table import HoldRow
from tests.contract.test_sms import enabled, listed, ready, stranger, to, writes
from tests.support.api import AGENT, Person
from tests.support.rehearsed_worker import RehearsedWorker, Script
from tests.support.shop import Shop, money, until


def target(person: Person, agent_id: str, **wanted: Any) -> str:
    made = person.made(f"/v1/agents/{agent_id}/notifications", {"channel": "sms", **wanted})
    return str(made["target_id"])


def told(person: Person, call_id: str) -> dict[str, tuple[str, str]]:
    """What became of each target's notification, and why."""
    log = person.ask("GET", f"/v1/calls/{call_id}/deliveries").json["notifications"]
    return {one["target_id"]: (one["outcome"], one["detail"]) for one in log}


def call_is_over(
    shop: Shop,
    person: Person,
    agent_id: str,
    numbers: tuple[str, str] = ("", ""),
    before_its_end: Callable[[], object] = lambda: None,
) -> tuple[str, dict[str, tuple[str, str]]]:
    """Somebody calls, from the first number to the second; returns what became of each notification."""
    line = dict(zip(("from_number", "to_number"), numbers, strict=True)) if any(numbers) else {}
    row = CallRow(
        owner_id=person.credentials["user"]["user_id"],
        agent_id=agent_id,
        **({"call_type": "phone_call", "direction": "inbound", **line} if line else {}),
    )

    async def write(session: AsyncSession) -> None:
        session.add(row)

    call_id = row.id
    shop.run(write)

    with RehearsedWorker(shop.api) as worker:
        assert worker.brief(call_id).status == 200
        before_its_end()
        script = Script(call_id)
        worker.tell(script.started(), script.said("user", "Tuesday.", 3, 4))
        worker.tell(script.called("book_appointment", 5), script.ended(6))
        until(lambda: all("asked" not in one for one in told(person, call_id).values() or ["asked"]), 40)
    return call_id, told(person, call_id)


def test_a_call_and_a_chat_that_are_over_are_told_by_text_once(shop: Shop) -> None:
    person, number = ready(shop)
    second = shop.number()
    fields = {"post_call_extraction": [{"name": "from_number", "type": "string"}]}
    agent = person.made("/v1/agents", {**AGENT, **fields, "language": "en-US"})["agent_id"]
    order = shop.bought(person, second)["order_id"]
    until(lambda: enabled(shop, order))
    desk, caller, barred = stranger(), stranger(), stranger()
    person.made("/v1/do-not-call", {"phone_number": barred})
    long = {
        "template": "{{shop}}: {{words}}. {{words}}",
        "template_vars": {"shop": "Bikes", "words": "şş " * 300},
    }
    is_sent = [
        target(person, agent, destination=f"{desk[:5]} {desk[5:]}", **long),
        target(person, agent, recipient_kind="caller"),
    ]
    never = {"field": "call_status", "operator": "==", "value": "failed"}
    skipped = target(person, agent, destination=desk, condition=never)
    refused = {
        target(person, agent, destination=barred): "This number is on your do-not-call list",
        target(person, agent, destination="+19005551234"): "Premium-rate and shared-cost numbers",
        target(person, agent, destination=desk, template="{{nothing}}"): "there is nothing to be said",
    }
    call_id, became = call_is_over(shop, person, agent, (caller, second))
    assert [became[one] for one in is_sent] == [("sent", "")] * 2
    assert became[skipped][0] == "skipped"
    for one, why in refused.items():
        assert became[one][0] == "failed"
        assert became[one][1].startswith(why)
    (summary,) = to(shop, caller)
    call = person.ask("GET", f"/v1/calls/{call_id}").json
    assert summary["text"] == call["call_analysis"]["call_summary"].strip()
    (cut,) = to(shop, desk)
    senders = {one["from"]["phone_number"] for one in (summary, cut)}
    assert senders == {second}  # the number of the call, of two
    assert cut["text"].startswith("Bikes: şş şş")
    assert cut["text"].endswith("...")
    parts = {one["to"]: (one["segments"], one["agent_id"]) for one in listed(person)}
    assert parts[desk] == (10, agent)  # for as long as that agent keeps it

    # Analysed anew, it is told to nobody again.
    assert person.ask("POST", f"/v1/calls/{call_id}/analysis").status == 202

    async def is_done(session: AsyncSession) -> bool:
        return not (await session.get_one(CallAnalysisRow, call_id)).is_pending

    until(lambda: shop.run(is_done))
    assert (len(to(shop, desk)), len(to(shop, caller))) == (1, 1)

    # Somebody wrote, and is told when the chat is put away; who only claims a number is not.
    first = person.ask("GET", f"/v1/phone-numbers/{number}").json["agent_id"]
    target(person, first, recipient_kind="caller", trigger_event="chat_ended", template="About: {{title}}")
    claimed = {"from_number": desk, "to_number": number, "channel": "sms"}
    posing = {"agent_id": first, "external_user_id": desk, "metadata": claimed}
    other = person.ask("POST", "/v1/chats", posing).json
    writes(shop, caller, number, "Hello!")
    until(lambda: len(to(shop, caller)) == 2, 60)
    (chat,) = person.ask("GET", "/v1/chats?source=sms").json["sessions"]
    for chat_id in (other["chat_id"], chat["chat_id"]):
        assert person.ask("PATCH", f"/v1/chats/{chat_id}?status=archived").status == 200
    until(lambda: len(to(shop, caller)) == 3)
    assert (to(shop, caller)[2]["text"], to(shop, caller)[2]["from"]["phone_number"]) == (
        "About: Hello!",
        number,
    )
    assert len(to(shop, desk)) == 1
    until(lambda: all(one["status"] != "queued" for one in listed(person)))
    used = person.ask("GET", "/v1/wallet/transactions?type=usage&limit=50").json["transactions"]
    assert len([one for one in used if one["endpoint_type"] == "sms"]) == 4
    until(lambda: money(person)[1] == 0)
    assert shop.books() == []

    # Its text says what became of it, for as long as it is kept.
    mine = col(SmsRow.peer) == desk
    failed = {"status": "failed", "why": "Unreachable"}
    unsure = {"status": "unconfirmed", "why": "Nobody knows", "carrier_id": None}
    for change, outcome in (
        (update(SmsRow).where(mine).values(**failed), ("failed", "Unreachable")),
        (update(SmsRow).where(mine).values(**unsure), ("asked", "Nobody knows")),
        (delete(SmsRow).where(mine), ("asked", "what became of it is forgotten, with its text")),
    ):
        shop.run(lambda session, what=change: session.exec(what))  # type: ignore[misc]
        assert told(person, call_id)[is_sent[0]] == outcome


def test_a_text_that_cannot_be_sent_says_why_and_a_target_that_never_can_is_refused(shop: Shop) -> None:
    poor, number = ready(shop, usd=5)
    agent = poor.ask("GET", f"/v1/phone-numbers/{number}").json["agent_id"]
    path = f"/v1/agents/{agent}/notifications"
    whatsapp = poor.ask("POST", path, {"channel": "whatsapp", "destination": stranger()})
    assert (whatsapp.status, b"WhatsApp" in whatsapp.raw) == (501, True)
    for wrong in (
        {"recipient_kind": "owner"},
        {"recipient_kind": "team"},
        {},
        {"destination": "desk@example.com"},
        {"destination": "0555"},
    ):
        assert poor.ask("POST", path, {"channel": "sms", **wrong}).status == 422, wrong
    fixed = target(poor, agent, destination=stranger())
    nobody = target(poor, agent, recipient_kind="caller")
    for wrong in ({"recipient_kind": "owner"}, {"destination": "x"}, {"channel": "custom_url"}):
        assert poor.ask("PATCH", f"/v1/notifications/{fixed}", wrong).status == 422, wrong

    async def hold_all(session: AsyncSession) -> None:
        owner = poor.credentials["user"]["user_id"]
        held = {"is_billed": True, "amount_micros": 1_000_000_000, "seconds": 0, "tariff": {}}
        session.add(HoldRow(call_id=f"all:{owner}", owner_id=owner, **held))

    _, became = call_is_over(shop, poor, agent, before_its_end=lambda: shop.run(hold_all))
    assert became == {
        fixed: ("failed", "Insufficient balance"),
        nobody: ("failed", "there is no number to write to"),
    }
    assert listed(poor) == []

    without = shop.person()
    agent = without.made("/v1/agents", {**AGENT, "language": "en-US"})["agent_id"]
    fixed = target(without, agent, destination=stranger())
    _, became = call_is_over(shop, without, agent, (stranger(), number))  # somebody else's
    assert became[fixed][0] == "failed"
    assert "no number that was bought here" in became[fixed][1]
    assert listed(without) == []


def test_whoever_shows_anothers_number_has_them_sent_few_texts(shop: Shop) -> None:
    person, number = ready(shop)
    agent = person.ask("GET", f"/v1/phone-numbers/{number}").json["agent_id"]
    caller, desk = stranger(), stranger()
    for _ in range(6):
        target(person, agent, recipient_kind="caller")
    fixed = target(person, agent, destination=desk)
    _, became = call_is_over(shop, person, agent, (caller, number))
    assert became.pop(fixed)[0] == "sent"
    assert sorted(became.values()) == [
        ("failed", "this caller was sent 5 messages within an hour"),
        *[("sent", "")] * 5,
    ]
    assert len(to(shop, caller)) == 5
