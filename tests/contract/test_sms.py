"""Text messages: sent once, answered by the agent in one chat, told what became of them, ended by STOP."""

import json
import time
from datetime import timedelta
from itertools import count
from typing import Any

from call2me import Call2Me
from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from api.contacts.table import DoNotCallRow
from api.db.columns import now
from api.sms.table import SmsNumberRow, SmsRow
from tests.support.api import AGENT, Person, Reply
from tests.support.shop import Shop, money, until

_people = count(1)
HOOK = "https://call2me.example.com/v1/sms/webhooks/telnyx"
WORDS = "Do you have a secret-of-mine appointment?"


def stranger() -> str:
    """Somebody's telephone."""
    return f"+1312777{next(_people):04d}"


def ready(shop: Shop, usd: int = 20, **asked: Any) -> tuple[Person, str]:
    """Somebody with a number whose messages come here, and an agent that answers them."""
    person = shop.person(usd)
    agent = person.made("/v1/agents", {**AGENT, "language": "en-US"})["agent_id"]
    number = shop.number()
    order = shop.bought(person, number, **{"agent_id": agent, **asked})["order_id"]
    until(lambda: enabled(shop, order))
    return person, number


def enabled(shop: Shop, order_id: str) -> bool:
    """Whether messages of a bought number come here."""

    async def is_enabled(session: AsyncSession) -> bool:
        row = await session.get(SmsNumberRow, order_id)
        return row is not None and row.profile_id is not None

    return shop.run(is_enabled)


def sent(person: Person, number: str, to: str, text: str = "Your table is ready.", **options: Any) -> Reply:
    return person.ask("POST", "/v1/sms", {"from": number, "to": to, "text": text}, **options)


def listed(person: Person, query: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = person.ask("GET", f"/v1/sms{query}").json["messages"]
    return found


def told(shop: Shop, raw: bytes, query: str = "", **headers: str) -> int:
    """An event of the carrier."""
    path = f"/v1/sms/webhooks/telnyx{query}"
    return shop.api.ask("POST", path, raw=raw, headers={**shop.telnyx.signed(raw), **headers}).status


def writes(shop: Shop, peer: str, number: str, words: str, **more: Any) -> bytes:
    """Somebody sends a message, and the carrier tells of it."""
    raw = shop.telnyx.texts.received(peer, number, words, **more)
    assert told(shop, raw) == 200
    return raw


def to(shop: Shop, peer: str) -> list[dict[str, Any]]:
    """What the carrier sent to somebody."""
    return [one for one in shop.telnyx.texts.sent if one["to"][0]["phone_number"] == peer]


def test_a_message_goes_out_once_and_is_charged_and_receipts_say_what_became_of_it(shop: Shop) -> None:
    person, number = ready(shop)
    before, peer = money(person)[0], stranger()
    text = "Your table is ready. " * 10  # two parts
    for kind in ("lost", "500"):
        shop.telnyx.fault("POST", "/messages", kind, times=2)
    replies = [sent(person, number, peer, text, headers={"Idempotency-Key": "table-7"}) for _ in range(2)]
    assert [reply.status for reply in replies] == [201, 201]
    assert replies[0].json == replies[1].json
    message = replies[0].json
    assert (message["from"], message["to"], message["status"]) == (number, peer, "queued")
    assert (message["segments"], message["direction"], message["error"]) == (2, "outbound", None)
    until(lambda: listed(person)[0]["status"] == "sent")
    (there,) = to(shop, peer)
    assert there["webhook_url"] == f"{HOOK}?sms={message['sms_id']}"
    until(lambda: money(person)[1] == 0)
    assert round(before - money(person)[0], 6) == 0.06  # two parts at 0.02, and a half more
    (used,) = person.ask("GET", "/v1/wallet/transactions?type=usage&limit=1").json["transactions"]
    assert (used["endpoint_type"], used["cost_usd"], used["margin_usd"]) == ("sms", 0.04, 0.02)

    # Each event in any order and again: a message goes up, never down. What is forged changes nothing.
    assert told(shop, shop.telnyx.texts.told(there, "delivered"), **{"telnyx-timestamp": "1"}) == 403
    stale = shop.telnyx.texts.told(there, "delivered")
    old = shop.telnyx.signed(stale, time.time() - 400)
    assert shop.api.ask("POST", "/v1/sms/webhooks/telnyx", raw=stale, headers=old).status == 403
    assert listed(person)[0]["status"] == "sent"
    for status in ("delivered", "sent", "delivered", "sending_failed"):
        assert told(shop, shop.telnyx.texts.told(there, status)) == 200
        assert listed(person)[0]["status"] == "delivered"
    assert len(to(shop, peer)) == 1

    # The carrier tells before it answers us, and of one that it could not bring.
    second = sent(person, number, peer, "Sorry, not yet.").json["sms_id"]
    until(lambda: len(to(shop, peer)) == 2)
    raw = shop.telnyx.texts.told(to(shop, peer)[1], "delivery_failed", "Unreachable")
    assert told(shop, raw, f"?sms={second}") == 200
    assert told(shop, raw, "?sms=sms_of_nobody") == 200
    assert [(one["status"], one["error"]) for one in listed(person)] == [
        ("failed", "Unreachable"),
        ("delivered", None),
    ]
    # Its answers are lost for good, and the receipt tells of it: charged once, whoever tells first or again.
    until(lambda: money(person)[1] == 0)
    paid, third = money(person)[0], stranger()
    shop.telnyx.fault("POST", "/messages", "lost", times=1_000)
    lost = sent(person, number, third).json["sms_id"]
    until(lambda: len(to(shop, third)) == 1)
    (there,) = to(shop, third)
    unpriced = {**there, "cost": None}
    assert told(shop, shop.telnyx.texts.told(unpriced, "sent"), f"?sms={lost}") == 200
    assert money(person) == (paid, 0.03)
    for status in ("sent", "delivered"):
        assert told(shop, shop.telnyx.texts.told(there, status), f"?sms={lost}") == 200
        assert (round(paid - money(person)[0], 6), money(person)[1]) == (0.03, 0)
    shop.telnyx.faults.clear()
    tried = len(shop.telnyx.asked)
    time.sleep(5)
    assert all(path != "/messages" for _, path, _ in shop.telnyx.asked[tried + 4 :]), (
        "and not asked for again"
    )
    assert (round(paid - money(person)[0], 6), len(to(shop, third))) == (0.03, 1)
    other = shop.person()
    assert listed(other) == []
    assert sent(other, number, peer).status == 404
    assert (
        person.ask("GET", f"/v1/sms?number={peer.replace('+', '%2B')}&direction=inbound").json["total"] == 0
    )
    with Call2Me(
        api_key=person.made("/v1/api-keys", {"name": "SDK"})["api_key"], base_url=shop.api.url
    ) as sdk:
        assert sdk.sms.send(peer, "From the SDK")["from"] == number
        assert sdk.sms.list(direction="outbound", number=number)["total"] == 4
    assert shop.books() == []


def test_what_may_not_be_sent_is_refused_and_changes_nothing(shop: Shop) -> None:
    person, number = ready(shop, usd=2)
    own = "+905551112233" if "sqlite" in shop.api.environment["CALL2ME_HOME"] else "+905551112234"
    person.made("/v1/phone-numbers", {"number": own})
    barred = stranger()
    person.made("/v1/do-not-call", {"phone_number": barred})
    before = money(person)
    for reply, status in (
        (sent(person, own, stranger()), 409),
        (sent(person, "+14155550199", stranger()), 404),
        (sent(person, number, barred), 403),
        (sent(person, number, "+8816123456789"), 403),
        (sent(person, number, "+19005551234"), 403),
        (sent(person, number, "0555"), 422),
        (sent(person, number, stranger(), ""), 422),
        (sent(person, number, stranger(), " \n"), 422),
        (sent(person, number, stranger(), "x" * 1601), 422),
        (sent(person, number, stranger(), "ş" * 671), 422),
        (person.ask("POST", "/v1/sms", {"from": number, "text": "To nobody"}), 422),
        (shop.person().ask("POST", "/v1/sms", {"to": stranger(), "text": "From nobody"}), 400),
    ):
        assert reply.status == status, reply.raw
    assert (listed(person), money(person)) == ([], before)

    refused = stranger()
    shop.telnyx.fault("POST", "/messages", "422")
    assert sent(person, number, refused).status == 201
    until(lambda: listed(person)[0]["status"] == "failed")
    assert listed(person)[0]["error"] == "Made to fail Made to fail"
    assert money(person) == before

    # What was asked for a day ago, and not answered, is not asked for again: its key may be forgotten.
    shop.telnyx.fault("POST", "/messages", "500", times=1_000)
    asked = len(shop.telnyx.asked)
    assert sent(person, number, stranger()).status == 201
    until(lambda: any(path == "/messages" for _, path, *_ in shop.telnyx.asked[asked:]))

    async def a_day_ago(session: AsyncSession) -> None:
        await session.exec(
            update(SmsRow).where(col(SmsRow.number) == number).values(created_at=now() - timedelta(days=1))
        )

    shop.run(a_day_ago)
    until(lambda: [one["status"] for one in listed(person)].count("unconfirmed") == 1)
    shop.telnyx.faults.clear()
    assert money(person) == before

    left = int(before[0] / 0.3)
    with_too_little = [sent(person, number, stranger(), "x" * 1530).status for _ in range(left + 1)]
    assert with_too_little == [201] * left + [402]
    assert shop.books() == []


def test_a_number_sends_sixty_a_minute_and_what_is_more_waits_within_bounds(shop: Shop) -> None:
    person, number = ready(shop)
    owner, before = person.credentials["user"]["user_id"], money(person)
    row = {"owner_id": owner, "number": number, "peer": stranger(), "direction": "outbound"}
    row |= {"text": "x", "segments": 1}

    async def sixty(session: AsyncSession) -> None:
        gone = {**row, "is_open": False, "tries": 1, "status": "sent"}
        session.add_all([SmsRow(**gone, due_at=now() - timedelta(seconds=54)) for _ in range(60)])

    shop.run(sixty)
    began, peer = time.monotonic(), stranger()
    waiting = [sent(person, number, peer, f"Part {part}") for part in range(3)]
    assert [(one.status, one.json["status"]) for one in waiting] == [(201, "queued")] * 3
    # Whoever wants no more gets nothing that waits, either.
    stopped = stranger()
    late = sent(person, number, stopped).json["sms_id"]
    writes(shop, stopped, number, "STOP", autoresponse_type="OPT_OUT")
    until(lambda: len(to(shop, peer)) == 3)
    assert time.monotonic() - began > 3, "a minute after those before them"
    until(lambda: {one["sms_id"]: one["status"] for one in listed(person)}[late] == "failed")
    assert "do-not-call list" in {one["sms_id"]: one["error"] for one in listed(person)}[late]
    assert to(shop, stopped) == []
    until(lambda: money(person)[1] == 0)
    assert round(before[0] - money(person)[0], 6) == 0.09, "each once"

    # An answer goes before what waits; what would wait for too long is refused, and changes nothing.
    async def ten_minutes(session: AsyncSession) -> None:
        late = {**row, "is_open": False, "status": "queued"}
        dues = [now() + timedelta(minutes=minute, seconds=5) for minute in range(2, 12) for _ in range(60)]
        session.add_all([SmsRow(**late, due_at=due) for due in dues])

    shop.run(ten_minutes)
    full, told_before = sent(person, number, peer), person.ask("GET", "/v1/sms").json["total"]
    assert (full.status, full.headers["retry-after"]) == (429, "60")
    assert person.ask("GET", "/v1/sms").json["total"] == told_before
    writer = stranger()
    writes(shop, writer, number, "Are you there?")
    until(lambda: len(to(shop, writer)) == 1, 60)  # the first chat of a process takes its time

    assert shop.books() == []


def test_a_message_that_others_keep_out_goes_later_and_within_an_hour_or_never(shop: Shop) -> None:
    """As after a time in which nothing went, when all are late together."""
    person, number = ready(shop)
    owner, before, peer = person.credentials["user"]["user_id"], money(person), stranger()

    async def sixty(session: AsyncSession, seconds: float) -> None:
        gone = {"owner_id": owner, "number": number, "peer": stranger(), "direction": "outbound"}
        gone |= {"text": "x", "segments": 1, "is_open": False, "tries": 1, "status": "sent"}
        session.add_all([SmsRow(**gone, due_at=now() - timedelta(seconds=seconds)) for _ in range(60)])

    async def kept_out(session: AsyncSession) -> dict[str, float]:
        found = await session.exec(
            select(SmsRow.id, SmsRow.due_at).where(SmsRow.number == number, SmsRow.status == "queued")
        )
        return {sms_id: (due_at - now()).total_seconds() for sms_id, due_at in found.all()}

    shop.run(lambda session: sixty(session, 54))
    kept, forgotten, given_up = (sent(person, number, peer).json["sms_id"] for _ in range(3))
    shop.run(lambda session: sixty(session, 0))

    async def an_hour_ago(session: AsyncSession) -> None:
        old = now() - timedelta(minutes=61)
        await session.exec(update(SmsRow).where(col(SmsRow.id) == forgotten).values(created_at=old))
        # As of a number that was released meanwhile, and may be somebody else's.
        await session.exec(update(SmsRow).where(col(SmsRow.id) == given_up).values(number="+13125550100"))

    shop.run(an_hour_ago)
    until(lambda: shop.run(kept_out).keys() == {kept})
    until(lambda: shop.run(kept_out)[kept] > 30)
    assert shop.run(kept_out)[kept] < 61
    (failed,) = [one for one in listed(person, "?limit=200") if one["sms_id"] == forgotten]
    assert (failed["status"], failed["error"]) == ("failed", "its turn did not come within an hour")

    def why() -> str | None:
        found: str | None = {one["sms_id"]: one["error"] for one in listed(person, "?limit=200")}[given_up]
        return found

    until(lambda: why() is not None)
    assert why() == "its number is its owner's no more, or out of use", "the carrier was not asked"
    assert to(shop, peer) == []
    assert (money(person)[0], money(person)[1]) == (before[0], 0.03), "what waits is held, what failed is not"


def test_a_text_is_answered_by_the_agent_in_one_chat_one_after_the_other(shop: Shop) -> None:
    person, number = ready(shop)
    peer, other = stranger(), stranger()
    person.made("/v1/contacts", {"phone_number": peer, "name": "Ada Byron"})
    sent(person, number, peer, "Shall we see you on Tuesday?")
    first = writes(shop, peer, number, WORDS)
    assert told(shop, first) == 200  # again: it is known
    writes(shop, peer, number, "Hello?")
    writes(shop, other, number, "Hello!")
    until(lambda: len(to(shop, peer)) == 3 and len(to(shop, other)) == 1, 90)
    until(lambda: all(one["status"] in {"sent", "received"} for one in listed(person)))
    mine = [one for one in reversed(listed(person)) if peer in (one["from"], one["to"])]
    assert sorted(one["direction"] for one in mine) == ["inbound"] * 2 + ["outbound"] * 3
    (chat_id,) = {one["session_id"] for one in mine}
    chat = person.ask("GET", f"/v1/chats/{chat_id}").json
    assert (chat["source"], chat["external_user_id"], chat["visitor_name"]) == ("sms", peer, "Ada Byron")
    assert chat["metadata"]["first_name"] == "Ada"
    said = [(one["role"], one["content"]) for one in chat["messages"]]
    assert [role for role, _ in said] == ["assistant", "user", "assistant", "user", "assistant"]
    assert said[0][1] == "Shall we see you on Tuesday?"  # so the agent knows what is answered
    assert [words for role, words in said if role == "user"] == [WORDS, "Hello?"]
    answers = [one["text"] for one in to(shop, peer)]
    assert sorted(answers) == sorted(words.strip() for role, words in said if role == "assistant")
    chats = person.ask("GET", "/v1/chats?source=sms").json
    assert chats["total"] == 2

    # Put away, the chat is over: whoever writes then begins another.
    person.ask("DELETE", f"/v1/chats/{chat_id}")
    writes(shop, peer, number, "Me again")
    until(lambda: len(to(shop, peer)) == 4, 60)
    assert listed(person, "?direction=inbound&limit=1")[0]["session_id"] != chat_id

    # Whom nobody answers, and why.
    person.ask("PATCH", f"/v1/phone-numbers/{number}", {"answering": {"blocked": ["+1312888*"]}})
    for sender, words, more, why in (
        ("+13128880001", "Buy now", {}, "Its sender is blocked."),
        (stranger(), "", {"media": [{"url": "https://x"}]}, "It has no words. Pictures are not read."),
        ("PARCELS", "Your parcel", {}, "It came from no telephone number."),
    ):
        writes(shop, sender, number, words, **more)
        (newest,) = listed(person, "?limit=1")
        assert (newest["from"], newest["error"]) == (sender, why)
    person.ask("DELETE", f"/v1/phone-numbers/{number}/unbind")
    writes(shop, peer, number, "Anybody?")
    assert listed(person, "?limit=1")[0]["error"] == "No agent answers this number."
    writes(shop, peer, "+14155550198", "To a number of nobody")
    assert len(to(shop, peer)) == 4
    assert shop.books() == []
    log = "".join(file.read_text() for file in shop.api.home.glob("api*.log"))
    assert "secret-of-mine" not in log
    assert peer not in log


def test_stop_ends_it_start_begins_it_again_and_an_owners_own_list_stays(shop: Shop) -> None:
    person, number = ready(shop)
    peer, known = stranger(), stranger()
    contact = person.made("/v1/contacts", {"phone_number": peer, "consent": "granted"})["contact_id"]

    def barred() -> list[str]:
        found = person.ask("GET", "/v1/do-not-call").json
        return [one["phone_number"] for one in next(iter(v for v in found.values() if isinstance(v, list)))]

    writes(shop, peer, number, " Stop. ", autoresponse_type="OPT_OUT")
    assert barred() == [peer]
    assert person.ask("GET", f"/v1/contacts/{contact}").json["consent"] == "denied"
    assert sent(person, number, peer).status == 403
    writes(shop, peer, number, "What now?")
    until(lambda: listed(person, "?limit=1")[0]["error"] is not None)
    assert "do-not-call list" in listed(person, "?limit=1")[0]["error"]
    assert to(shop, peer) == []  # the carrier said what is to be said
    writes(shop, peer, number, "START")
    assert barred() == []
    assert person.ask("GET", f"/v1/contacts/{contact}").json["consent"] == "unknown"
    until(lambda: len(to(shop, peer)) == 1)
    assert "STOP" in to(shop, peer)[0]["text"]
    writes(shop, peer, number, "HELP")
    until(lambda: len(to(shop, peer)) == 2)
    assert person.ask("GET", "/v1/chats?source=sms").json["total"] == 0  # no agent was asked

    person.made("/v1/do-not-call", {"phone_number": known, "reason": "Asked by letter"})
    writes(shop, known, number, "START", autoresponse_type="OPT_IN")
    assert barred() == [known]

    async def reason(session: AsyncSession) -> str:
        return (
            await session.exec(select(DoNotCallRow.reason).where(DoNotCallRow.phone_number == known))
        ).one()

    assert shop.run(reason) == "Asked by letter"


def test_two_machines_that_answer_each_other_come_to_an_end(shop: Shop) -> None:
    person, number = ready(shop)
    peer = stranger()

    async def many(session: AsyncSession) -> None:
        owner = person.credentials["user"]["user_id"]
        old = {"owner_id": owner, "number": number, "peer": peer, "direction": "outbound", "is_open": False}
        rows = [SmsRow(**old, text="x", segments=1, status="sent") for _ in range(40)]
        for row in rows:
            row.created_at = now() - timedelta(minutes=10)
        session.add_all(rows)

    shop.run(many)
    writes(shop, peer, number, "Thank you for your message.")
    until(lambda: listed(person, "?limit=1")[0]["error"] is not None)
    assert "40 times within an hour" in listed(person, "?limit=1")[0]["error"]
    assert to(shop, peer) == []


def test_an_event_that_is_none_is_refused(shop: Shop) -> None:
    for raw in (b"{}", b"[]", b"\xff", json.dumps({"data": {"id": 1}}).encode(), b"[" * 5000):
        assert told(shop, raw) in {400, 422}
    assert told(shop, b" " * 300_000) == 400
    strange = json.dumps({"data": {"id": "e", "event_type": "10dlc.campaign.update", "payload": {}}}).encode()
    assert told(shop, strange) == 200
