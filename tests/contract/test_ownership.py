"""Another owner's thing is a 404, on every route that names one: generated from the OpenAPI document."""

import asyncio
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from sqlmodel import SQLModel

from api import tables
from api.calls.table import CallRow
from api.db.columns import new_id, now
from api.db.engine import Database
from api.payments.table import PaymentMethodRow, PaymentRow
from api.phone_numbers.table import NumberOrderRow
from api.settings import Settings
from tests.support.api import AGENT, Api, Person
from tests.support.knowledge import uploaded

tables.load()  # a row can be written only where the tables that it points to are known

BODIES: dict[str, dict[str, Any] | Callable[[Person], dict[str, Any]]] = {
    "answer_wizard": {"content": "A shop."},
    "apply_wizard": {"prompt": "You sell bikes."},
    "call_over_sip_trunk": {"to_number": "+14155550123", "wait": False},
    "create_notification_target": {"channel": "email", "recipient_kind": "owner"},
    "query_knowledge_base": {"query": "When?"},
    "say": {"text": "Hello."},
    "add_context": {"text": "The shop closes early today."},
    "transfer": {"target": "Desk"},
    "whisper_to_agent": {"text": "Be kind."},
    "take_call_over": {"participant_identity": "l1"},
    "send_chat_message": {"content": "Hello."},
    "stream_chat_message": {"content": "Hello."},
    "act_on_campaign": {"action": "start"},
    "add_campaign_contacts": {"contacts": [{"phone_number": "+905321234568"}]},
    "bind_phone_number": lambda owner: {"agent_id": _agent(owner)},
}
"""A valid body for each operation that needs one, by operation id; `{}` where nothing is required."""


def _agent(person: Person) -> str:
    return str(person.made("/v1/agents", AGENT)["agent_id"])


def _room(person: Person) -> str:
    """The room of a call of this person."""
    call_id = _call(person)
    return f"room_{call_id}"


def _call(person: Person) -> str:
    """A call of this person, as it stands while it is going on."""
    database_url = Settings.load(person.api.environment).database_url
    agent = person.made("/v1/agents", {**AGENT, "enable_vcon_export": True})
    row = CallRow(
        agent_id=agent["agent_id"],
        owner_id=person.credentials["user"]["user_id"],
        id=(call_id := new_id("call", 16)),
        room_name=f"room_{call_id}",
        briefed_at=now(),  # before that a call is unheard of
        status="in_progress",
        recording_bytes=1,
        transcript="Agent: Hi",
    )
    (Path(person.api.home) / "recordings" / f"{row.id}.ogg").write_bytes(b"x")

    async def write() -> None:
        database = Database(database_url)
        async with database.transaction() as session:
            session.add(row)
        await database.close()

    asyncio.run(write())
    return row.id


def _revoked_key(person: Person) -> str:
    key_id = str(person.made("/v1/api-keys", {"name": "k"})["key_id"])
    person.ask("DELETE", f"/v1/api-keys/{key_id}")
    return key_id


def _base(person: Person) -> str:
    return str(
        uploaded(person, {"files": ("hours.txt", b"Open on Monday.")}, name="Mine")["knowledge_base_id"]
    )


def _source(person: Person) -> str:
    """Of the base made last: in a path, it stands behind its base."""
    return str(person.ask("GET", "/v1/knowledge-base").json[0]["knowledge_base_sources"][0]["source_id"])


def _endpoint(person: Person) -> str:
    return str(person.made("/v1/webhooks/endpoints", {"url": "https://hooks.example.com/a"})["endpoint_id"])


def _delivery(person: Person) -> str:
    """Something that was told, or will have been."""
    assert person.ask("POST", f"/v1/webhooks/endpoints/{_endpoint(person)}/test").status == 202
    return str(person.ask("GET", "/v1/webhooks/deliveries").json["deliveries"][0]["delivery_id"])


def _widget(person: Person) -> str:
    agent = person.made("/v1/agents", AGENT)
    return str(person.made("/v1/widgets", {"agent_id": agent["agent_id"]})["widget_id"])


def _end_user(_: Person) -> str:
    """A name of the owner's own; another owner may have the same."""
    return "customer-1"


def _end_user_token(person: Person) -> str:
    return str(person.ask("POST", "/v1/end-users/customer-1/tokens", {}).json["token_id"])


def _visit(person: Person) -> str:
    """A chat through the widget made last: in a path, it stands behind its widget."""
    path = f"/v1/widgets/{person.ask('GET', '/v1/widgets').json[0]['widget_id']}"
    return str(person.ask("POST", f"{path}/chat", {"message": "Hello."}).json["session_id"])


def _chat(person: Person) -> str:
    agent = person.made("/v1/agents", AGENT)
    return str(person.ask("POST", "/v1/chats", {"agent_id": agent["agent_id"]}).json["session_id"])


_numbers = count(4_000_000)


def _number(person: Person) -> str:
    made = person.made("/v1/phone-numbers", {"number": f"+90532{next(_numbers)}", "agent_id": _agent(person)})
    return str(made["number"])


def _number_order(person: Person) -> str:
    """Written by hand: there is no carrier here."""
    row = NumberOrderRow(
        owner_id=person.credentials["user"]["user_id"],
        number=f"+90532{next(_numbers)}",
        status="failed",
        cost_micros=0,
        upfront_cost_micros=0,
        monthly_micros=0,
        upfront_micros=0,
    )
    order_id = row.id

    async def write() -> None:
        database = Database(Settings.load(person.api.environment).database_url)
        async with database.transaction() as session:
            session.add(row)
        await database.close()

    asyncio.run(write())
    return order_id


def _contact(person: Person) -> str:
    return str(person.made("/v1/contacts", {"phone_number": f"+90532{next(_numbers)}"})["contact_id"])


def _barred(person: Person) -> str:
    number = f"+90532{next(_numbers)}"
    return str(person.made("/v1/do-not-call", {"phone_number": number})["phone_number"])


def _schedule(person: Person) -> str:
    wanted = {
        "agent_id": _agent(person),
        "phone_number": "+905321234567",
        "scheduled_at": "2030-01-01T10:00:00",
    }
    return str(person.made("/v1/schedules", wanted)["schedule_id"])


def _campaign(person: Person) -> str:
    made = person.made("/v1/campaigns", {"agent_id": _agent(person), "name": "Fair"})
    people = {"contacts": [{"phone_number": "+905321234567"}]}
    person.made(f"/v1/campaigns/{made['campaign_id']}/contacts", people)
    return str(made["campaign_id"])


def _trunk(person: Person) -> str:
    return str(person.made("/v1/sip-trunks", {"name": "Carrier", "sip_server": "9.9.9.1"})["trunk_id"])


def _test_call(person: Person) -> str:
    row = CallRow(
        owner_id=person.credentials["user"]["user_id"],
        status="failed",
        direction="outbound",
        sip_trunk_id=_trunk(person),
        reception={"is_all": True},
    )
    call_id = row.id
    _write(person, row)
    return call_id


def _write(person: Person, row: SQLModel) -> None:
    tables.load()  # a row's foreign keys are looked for among the tables that somebody imported

    async def write() -> None:
        database = Database(Settings.load(person.api.environment).database_url)
        async with database.transaction() as session:
            session.add(row)
        await database.close()

    asyncio.run(write())


def _target(person: Person) -> str:
    wanted = {"channel": "email", "recipient_kind": "owner"}
    return str(person.made(f"/v1/agents/{_agent(person)}/notifications", wanted)["target_id"])


def _wizard(person: Person) -> str:
    return str(person.ask("POST", "/v1/agents/wizard/start", {}).json["session_id"])


def _payment(person: Person) -> str:
    """One that was paid."""
    owner_id = person.credentials["user"]["user_id"]
    row = PaymentRow(owner_id=owner_id, provider="stripe", amount_micros=1, is_paid=True, status="completed")
    payment_id = row.id
    _write(person, row)
    return payment_id


def _method(person: Person) -> str:
    row = PaymentMethodRow(
        id=(method_id := new_id("pm")),
        owner_id=person.credentials["user"]["user_id"],
        provider="stripe",
        card_brand="visa",
        card_last_four="4242",
    )
    _write(person, row)
    return method_id


def _export(person: Person) -> str:
    """A file that is there: it is made within a second."""
    export_id = str(person.ask("POST", "/v1/users/me/exports").json["export_id"])
    deadline = time.monotonic() + 20
    while person.ask("GET", f"/v1/users/me/exports/{export_id}").json["status"] != "complete":
        assert time.monotonic() < deadline, "the export was not made"
        time.sleep(0.05)
    return export_id


def _invite(person: Person) -> str:
    return str(person.made("/v1/users/me/tenant/invites", {"email": "in@example.com"})["invite_id"])


def _member(person: Person) -> str:
    made = person.ask("POST", "/v1/auth/quick-login", {"email": f"m-{new_id('x')}@example.com"})
    return str(made.json["user_id"])


UNOWNED = {"voice_id", "external_id"}
"""Ids of things that belong to nobody, and names that each owner gives for themselves."""
QUERIES = {"watch_call": "follow=false", "watch_campaign": "follow=false"}
"""So that an answer that would go on with its call ends."""


MAKERS: dict[str, Callable[[Person], str]] = {
    "agent_id": _agent,
    "key_id": _revoked_key,
    "call_id": _call,
    "room_name": _room,
    "knowledge_base_id": _base,
    "source_id": _source,
    "endpoint_id": _endpoint,
    "delivery_id": _delivery,
    "session_id": _chat,
    "number": _number,
    "phone_number": _number,
    "trunk_id": _trunk,
    "test_call_id": _test_call,
    "order_id": _number_order,
    "campaign_id": _campaign,
    "schedule_id": _schedule,
    "contact_id": _contact,
    "barred_number": _barred,
    "payment_id": _payment,
    "wizard_id": _wizard,
    "target_id": _target,
    "method_id": _method,
    "widget_id": _widget,
    "chat_id": _visit,
    "external_id": _end_user,
    "token_id": _end_user_token,
    "invite_id": _invite,
    "export_id": _export,
    "member_id": _member,
}
"""How to make a thing, by the name of its id. A new kind of thing needs a line here."""


def test_every_route_that_names_a_thing_hides_it_from_others(api: Api) -> None:
    owner, stranger = api.person(), api.person()
    spec = api.ask("GET", "/openapi.json").json
    tried, wrong = 0, []
    for path, methods in spec["paths"].items():
        for method, operation in methods.items():
            names = [p["name"] for p in operation.get("parameters", []) if p["in"] == "path"]
            if not set(names) - UNOWNED or {"BearerAuth": []} not in operation["security"]:
                continue
            unknown = set(names) - set(MAKERS)
            assert not unknown, f"{path} names {unknown}: say in MAKERS how such a thing is made"
            filled = path.format(**{name: MAKERS[name](owner) for name in names})
            known = BODIES.get(operation["operationId"].removesuffix("_2"), {})
            wanted = known(owner) if callable(known) else known
            body = wanted if "requestBody" in operation else None
            if query := QUERIES.get(operation["operationId"]):
                filled += f"?{query}"
            theirs = stranger.ask(method.upper(), filled, body)
            ours = owner.ask(method.upper(), filled, body)
            tried += 1
            if theirs.status != 404 or ours.status == 404:
                wrong.append((method, path, theirs.status, ours.status))
    assert wrong == [], wrong
    assert tried >= 10


def test_lists_hold_only_what_is_ones_own(api: Api) -> None:
    owner, stranger = api.person(), api.person()
    for maker in MAKERS.values():
        maker(owner)
    assert stranger.ask("GET", "/v1/agents").json == []
    assert stranger.ask("GET", "/v1/api-keys").json == []
    assert stranger.ask("GET", "/v1/knowledge-base").json == []
    assert stranger.ask("GET", "/v1/calls").json == {"calls": [], "total": 0}
    assert stranger.ask("GET", "/v1/chats").json["sessions"] == []
    assert len(stranger.ask("GET", "/v1/phone-numbers").json) == 0
    assert stranger.ask("GET", "/v1/sip-trunks").json == []
    assert stranger.ask("GET", "/v1/contacts").json["total"] == 0
    assert stranger.ask("GET", "/v1/do-not-call").json["total"] == 0
    assert stranger.ask("GET", "/v1/widgets").json == []
    assert stranger.ask("GET", "/v1/schedules").json["total"] == 0
    assert stranger.ask("GET", "/v1/campaigns").json["total"] == 0
    assert len(owner.ask("GET", "/v1/agents").json) >= 7  # some makers make one of their own
    assert owner.ask("GET", "/v1/calls").json["total"] == 2  # one by its id, one by its room


def test_internal_routes_need_the_internal_key_and_nothing_else_opens_them(api: Api, person: Person) -> None:
    spec = api.ask("GET", "/openapi.json").json
    key = api.secrets["internal_key"]
    body = {"worker_id": "w", "events": []}
    assert api.ask("POST", "/internal/events", body, headers={"X-Internal-Key": key}).status == 200
    for headers in ({}, {"X-Internal-Key": "x"}, {"X-Internal-Key": key[:-1]}, {"X-Internal-Key": f"{key}é"}):
        assert person.ask("POST", "/internal/events", body, headers=headers).status == 401
    for path in ("/v1/agents", "/v1/users/me"):
        assert api.ask("GET", path, headers={"X-Internal-Key": key}).status == 401
    for path, methods in spec["paths"].items():
        if path.startswith("/internal"):
            assert all(operation["security"] == [{"InternalKey": []}] for operation in methods.values())
